// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/vcpu_exit.h"

#include <algorithm>
#include <cstring>

#include "vmm/kvm/uapi.h"

namespace vmm {
namespace {

VcpuExit DecodeMmio(const kvm_run& run) {
  const GuestAddress address(run.mmio.phys_addr);
  const unsigned size = std::min(run.mmio.len, 8u);
  if (!run.mmio.is_write) return MmioRead{address, size};
  uint64_t value = 0;
  std::memcpy(&value, run.mmio.data, size);  // Little endian, as we are.
  return MmioWrite{address, size, value};
}

VcpuExit DecodeSystemEvent(const kvm_run& run) {
  using Kind = SystemEvent::Kind;
  switch (run.system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
      return SystemEvent{Kind::kShutdown};
    case KVM_SYSTEM_EVENT_RESET: {
      const bool reset2 =
          run.system_event.ndata > 0 &&
          (run.system_event.data[0] & uapi::kSystemEventResetFlagPsciReset2);
      return SystemEvent{reset2 ? Kind::kReset2 : Kind::kReset};
    }
    case KVM_SYSTEM_EVENT_CRASH:
      return SystemEvent{Kind::kCrash};
    case KVM_SYSTEM_EVENT_SUSPEND:
      return SystemEvent{Kind::kSuspend};
    case KVM_SYSTEM_EVENT_WAKEUP:
      return Wakeup{};
    default:
      return Unhandled{KVM_EXIT_SYSTEM_EVENT};
  }
}

#if defined(PARKVMM_ARM64_UAPI)
VcpuExit DecodeDebug(const kvm_run& run) {
  using Kind = DebugStop::Kind;
  switch (run.debug.arch.hsr >> 26) {  // ESR_ELx.EC.
    case 0x34:                         // Watchpoint, from a lower EL.
      return DebugStop{Kind::kWatchedStore, run.debug.arch.far};
    case 0x32:  // Software step, likewise.
      return DebugStop{Kind::kStepped};
    default:
      return DebugStop{Kind::kOther};
  }
}
#endif

}  // namespace

VcpuExit DecodeExit(const kvm_run& run) {
  switch (run.exit_reason) {
    case KVM_EXIT_MMIO:
      return DecodeMmio(run);
    case KVM_EXIT_HYPERCALL:
      // `longmode` is what 6.1's headers call the low half of `flags`.
      return Hypercall{static_cast<uint32_t>(run.hypercall.nr),
                       (run.hypercall.longmode & uapi::kHypercallExitSmc) != 0};
    case KVM_EXIT_INTR:
      return Interrupted{};
    case KVM_EXIT_SYSTEM_EVENT:
      return DecodeSystemEvent(run);
    case KVM_EXIT_ARM_NISV:
      return NoSyndrome{GuestAddress(run.arm_nisv.fault_ipa)};
#if defined(PARKVMM_ARM64_UAPI)
    case KVM_EXIT_DEBUG:
      return DecodeDebug(run);
#endif
    case KVM_EXIT_FAIL_ENTRY:
      return EntryFailed{run.fail_entry.hardware_entry_failure_reason};
    case KVM_EXIT_INTERNAL_ERROR:
      return EntryFailed{run.internal.suberror};
    default:
      return Unhandled{run.exit_reason};
  }
}

}  // namespace vmm
