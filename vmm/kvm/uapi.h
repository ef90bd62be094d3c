// SPDX-License-Identifier: Apache-2.0
// KVM's API as of Linux 6.4. Debian 12's headers are 6.1; what is newer and
// needed here is declared under names of our own, nothing else is.
#ifndef PARKVMM_VMM_KVM_UAPI_H_
#define PARKVMM_VMM_KVM_UAPI_H_

#include <linux/kvm.h>

#include <cstdint>

namespace vmm::uapi {

// Documentation/virt/kvm/devices/vm.rst, "KVM_ARM_VM_SMCCC_CTRL".
inline constexpr uint32_t kArmVmSmcccControl = 0;  // Attribute group.
inline constexpr uint64_t kArmVmSmcccFilter = 0;   // Attribute.
inline constexpr uint8_t kSmcccFilterDeny = 1;
inline constexpr uint8_t kSmcccFilterForwardToUser = 2;
struct SmcccFilter {
  uint32_t base;
  uint32_t functions;
  uint8_t action;
  uint8_t pad[15];
};
static_assert(sizeof(SmcccFilter) == 24);

// kvm_run.hypercall.flags: an SMC, not an HVC, was trapped.
inline constexpr uint32_t kHypercallExitSmc = 1u << 0;

// KVM_EXIT_SYSTEM_EVENT data[0] on KVM_SYSTEM_EVENT_RESET.
inline constexpr uint64_t kSystemEventResetFlagPsciReset2 = 1u << 0;

}  // namespace vmm::uapi

#endif  // PARKVMM_VMM_KVM_UAPI_H_
