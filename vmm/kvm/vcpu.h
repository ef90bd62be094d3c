// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_VCPU_H_
#define PARKVMM_VMM_KVM_VCPU_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vmm/base/guest_address.h"
#include "vmm/kvm/vcpu_exit.h"

namespace vmm {

// What tells where a vCPU is, and where a store went; X registers apart.
enum class GuestRegister {
  kPc,
  kVbarEl1,
  kSctlrEl1,
  kTcrEl1,
  kTtbr0El1,
  kTtbr1El1
};

// One vCPU: the seam between the run loop and KVM. Tests use a fake.
//
// Everything but mpidr(), Kick() and Nudge() belongs to the vCPU's own thread:
// KVM holds the vCPU's mutex across KVM_RUN, so a call from elsewhere would
// wait for the guest.
class Vcpu {
 public:
  virtual ~Vcpu() = default;

  // MPIDR_EL1 as KVM gave it. Read, never computed: above 16 vCPUs the index
  // is not the affinity.
  virtual uint64_t mpidr() const = 0;

  // Runs guest code until there is something to do.
  virtual absl::StatusOr<VcpuExit> Run() = 0;
  // After MmioRead: what the guest's load returns.
  virtual void AnswerRead(uint64_t value) = 0;

  // X1 and on, as many as fit `registers`: what a call's arguments are.
  virtual absl::Status ReadArguments(absl::Span<uint64_t> registers) = 0;
  virtual absl::Status WriteX(unsigned index, uint64_t value) = 0;
  virtual absl::StatusOr<uint64_t> ReadX(unsigned index) = 0;  // 0 to 30.
  virtual absl::StatusOr<uint64_t> Read(GuestRegister which) = 0;
  virtual absl::Status WritePc(uint64_t value) = 0;

  // Every register back to its value at creation. Restores values rather than
  // KVM_ARM_VCPU_INIT, which on hosts without FEAT_S2FWB unmaps the stage 2
  // of the whole VM.
  virtual absl::Status Reset() = 0;
  virtual absl::Status SetEntry(GuestAddress entry, uint64_t x0) = 0;
  // From now on Run() waits as WFI does, until it returns Wakeup.
  virtual absl::Status Suspend() = 0;
  virtual absl::Status Resume() = 0;

  // The instruction at PC takes a synchronous external abort, as an access to
  // nothing does on hardware.
  virtual absl::Status InjectDataAbort() = 0;

  // While a watch or a step is set, the guest's own hardware breakpoints and
  // watchpoints do nothing. The last call stands.
  //
  // Run() returns before any store by EL1 to a virtual address in `range`, a
  // power of two in size from 8 bytes to 2 GiB, aligned to its size.
  virtual absl::Status WatchStores(GuestRange range) = 0;
  // Run() returns after one instruction.
  virtual absl::Status Step() = 0;
  virtual absl::Status EndDebug() = 0;

  // Any thread: the current or the next Run() returns Interrupted, once.
  virtual void Nudge() = 0;
  // Any thread: the current or the next Run() returns Interrupted, and so
  // does every one after it. For stopping; there is no way back.
  virtual void Kick() = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_VCPU_H_
