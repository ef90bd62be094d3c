// SPDX-License-Identifier: Apache-2.0
// KVM_{GET,SET}_ONE_REG ids, as Documentation/virt/kvm/api.rst composes them.
#ifndef PARKVMM_VMM_KVM_ARM64_REGISTERS_H_
#define PARKVMM_VMM_KVM_ARM64_REGISTERS_H_

#include <cstddef>
#include <cstdint>

#include "vmm/kvm/uapi.h"

namespace vmm {

// A core register by its byte offset in struct kvm_regs.
constexpr uint64_t CoreRegister(size_t offset) {
  return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
         offset / sizeof(uint32_t);
}
constexpr uint64_t XRegister(unsigned index) {
  return CoreRegister(offsetof(kvm_regs, regs) + offsetof(user_pt_regs, regs) +
                      index * sizeof(uint64_t));
}
inline constexpr uint64_t kPcRegister =
    CoreRegister(offsetof(kvm_regs, regs) + offsetof(user_pt_regs, pc));

constexpr uint64_t SystemRegister(uint64_t op0, uint64_t op1, uint64_t crn,
                                  uint64_t crm, uint64_t op2) {
  return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG |
         op0 << KVM_REG_ARM64_SYSREG_OP0_SHIFT |
         op1 << KVM_REG_ARM64_SYSREG_OP1_SHIFT |
         crn << KVM_REG_ARM64_SYSREG_CRN_SHIFT |
         crm << KVM_REG_ARM64_SYSREG_CRM_SHIFT |
         op2 << KVM_REG_ARM64_SYSREG_OP2_SHIFT;
}
inline constexpr uint64_t kMpidrEl1 = SystemRegister(3, 0, 0, 0, 5);
inline constexpr uint64_t kSctlrEl1 = SystemRegister(3, 0, 1, 0, 0);
inline constexpr uint64_t kTtbr0El1 = SystemRegister(3, 0, 2, 0, 0);
inline constexpr uint64_t kTtbr1El1 = SystemRegister(3, 0, 2, 0, 1);
inline constexpr uint64_t kTcrEl1 = SystemRegister(3, 0, 2, 0, 2);
inline constexpr uint64_t kVbarEl1 = SystemRegister(3, 0, 12, 0, 0);
inline constexpr uint64_t kIdAa64mmfr2El1 = SystemRegister(3, 0, 0, 7, 2);

// Bytes of the register that `id` names.
constexpr size_t RegisterSize(uint64_t id) {
  return size_t{1} << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_ARM64_REGISTERS_H_
