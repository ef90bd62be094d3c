// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_VCPU_EXIT_H_
#define PARKVMM_VMM_KVM_VCPU_EXIT_H_

#include <cstdint>
#include <variant>

#include "vmm/base/guest_address.h"

struct kvm_run;

namespace vmm {

// Why KVM_RUN came back, copied out of the run page: values a test can compare.

struct MmioRead {
  GuestAddress address;
  unsigned size;  // Bytes.
  friend bool operator==(const MmioRead&, const MmioRead&) = default;
};
struct MmioWrite {
  GuestAddress address;
  unsigned size;
  uint64_t value;
  friend bool operator==(const MmioWrite&, const MmioWrite&) = default;
};
// HVC or SMC in a range that the filter forwards. PC is past the instruction;
// arguments are fetched when they are needed.
struct Hypercall {
  uint32_t function;
  bool smc;
  friend bool operator==(const Hypercall&, const Hypercall&) = default;
};
// A signal, or Kick().
struct Interrupted {
  friend bool operator==(const Interrupted&, const Interrupted&) = default;
};
// The wake-up event a suspended vCPU waited for.
struct Wakeup {
  friend bool operator==(const Wakeup&, const Wakeup&) = default;
};
// SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2 as KVM's own PSCI reports them.
struct SystemEvent {
  enum class Kind { kShutdown, kReset, kReset2, kCrash, kSuspend };
  Kind kind;
  friend bool operator==(const SystemEvent&, const SystemEvent&) = default;
};
// An access to no memory by an instruction that KVM cannot describe (STP, DC
// ZVA, SIMD); PC still points at it.
struct NoSyndrome {
  GuestAddress address;
  friend bool operator==(const NoSyndrome&, const NoSyndrome&) = default;
};
// A store to memory whose mapping in the host is read-only (EFAULT); PC still
// points at it, and KVM does not say where it went.
struct StoreRefused {
  friend bool operator==(const StoreRefused&, const StoreRefused&) = default;
};
// What Vcpu::SetDebug() asked for. A watched store has not been done, PC points
// at it; `address` is the guest's virtual one.
struct DebugStop {
  enum class Kind { kWatchedStore, kStepped, kOther };
  Kind kind;
  uint64_t address = 0;
  friend bool operator==(const DebugStop&, const DebugStop&) = default;
};
// KVM could not enter or emulate; `reason` is KVM's.
struct EntryFailed {
  uint64_t reason;
  friend bool operator==(const EntryFailed&, const EntryFailed&) = default;
};
struct Unhandled {
  uint32_t reason;  // KVM_EXIT_*.
  friend bool operator==(const Unhandled&, const Unhandled&) = default;
};
using VcpuExit = std::variant<MmioRead, MmioWrite, Hypercall, Interrupted,
                              Wakeup, SystemEvent, NoSyndrome, StoreRefused,
                              DebugStop, EntryFailed, Unhandled>;

// Pure: tests feed it a hand-made run page. Reads each field once.
VcpuExit DecodeExit(const kvm_run& run);

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_VCPU_EXIT_H_
