// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/arm64_reset_image.h"

#include <algorithm>

#include "vmm/base/status_macros.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/ioctl.h"

namespace vmm {
namespace {

absl::StatusOr<std::vector<uint64_t>> ListRegisters(int vcpu_fd) {
  uint64_t count = 0;
  // Fails with E2BIG and says how many there are.
  if (PatientIoctl(vcpu_fd, uapi::kGetRegList, &count) != 0 && errno != E2BIG) {
    return IoctlError(uapi::kGetRegList);
  }
  std::vector<uint64_t> list(1 + count);
  list[0] = count;
  RETURN_IF_ERROR(Ioctl(vcpu_fd, uapi::kGetRegList, list.data()).status());
  list.erase(list.begin());
  return list;
}

bool IsSystemRegisterOf(uint64_t id, uint64_t op0, uint64_t op1, uint64_t crn) {
  constexpr uint64_t kMask =
      KVM_REG_ARM_COPROC_MASK | KVM_REG_ARM64_SYSREG_OP0_MASK |
      KVM_REG_ARM64_SYSREG_OP1_MASK | KVM_REG_ARM64_SYSREG_CRN_MASK;
  return ((id ^ SystemRegister(op0, op1, crn, 0, 0)) & kMask) == 0;
}

bool ChangesWithTheGuest(uint64_t id) {
  switch (id & KVM_REG_ARM_COPROC_MASK) {
    case KVM_REG_ARM_CORE:
    case KVM_REG_ARM64_SVE:
      return id != KVM_REG_ARM64_SVE_VLS;
    case KVM_REG_ARM64_SYSREG:
      break;
    default:  // Demultiplexed cache geometry, firmware pseudo-registers.
      return false;
  }
  const bool is_identification = IsSystemRegisterOf(id, 3, 0, 0) ||
                                 IsSystemRegisterOf(id, 3, 1, 0) ||
                                 IsSystemRegisterOf(id, 3, 3, 0);
  const bool is_counter =
      id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT;
  return !is_identification && !is_counter;
}

// Documentation/virt/kvm/api.rst, KVM_ARM_VCPU_INIT: "General Purpose
// registers, including PC and SP: set to 0", FPSIMD/NEON and SVE registers too.
// They can all be written, and are most of those that there are.
bool IsZeroInANewVcpu(uint64_t id) {
  switch (id & KVM_REG_ARM_COPROC_MASK) {
    case KVM_REG_ARM64_SVE:
      return true;
    case KVM_REG_ARM_CORE:
      break;
    default:
      return false;
  }
  const uint64_t offset = (id & ~(KVM_REG_ARCH_MASK | KVM_REG_SIZE_MASK |
                                  KVM_REG_ARM_COPROC_MASK)) *
                          sizeof(uint32_t);
  const auto is_in = [offset](size_t begin, size_t size) {
    return offset >= begin && offset - begin < size;
  };
  constexpr size_t kGeneral = offsetof(kvm_regs, regs);
  constexpr size_t kVector =
      offsetof(kvm_regs, fp_regs) + offsetof(user_fpsimd_state, vregs);
  return is_in(kGeneral, offsetof(user_pt_regs, pstate)) ||
         is_in(kVector, sizeof(user_fpsimd_state::vregs));
}

absl::Status Access(int vcpu_fd, uapi::Request<kvm_one_reg> request,
                    uint64_t id, const void* value) {
  kvm_one_reg reg = {id, reinterpret_cast<uintptr_t>(value)};
  return Ioctl(vcpu_fd, request, &reg).status();
}

// Returns whether the register takes its own value, which one that is read-only
// on this host does not, as often as it is tried. A register that was taken for
// read-only by mistake would never be reset.
absl::StatusOr<bool> IsWritable(int vcpu_fd, uint64_t id, const void* value) {
  kvm_one_reg reg = {id, reinterpret_cast<uintptr_t>(value)};
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (PatientIoctl(vcpu_fd, uapi::kSetOneReg, &reg) == 0) return true;
    if (!MeansReadOnly(errno)) return IoctlError(uapi::kSetOneReg);
  }
  return false;
}

}  // namespace

absl::StatusOr<ResetImage> ResetImage::Capture(int vcpu_fd) {
  ASSIGN_OR_RETURN(const std::vector<uint64_t> ids, ListRegisters(vcpu_fd));
  ResetImage image;
  for (const uint64_t id : ids) {
    if (!ChangesWithTheGuest(id)) continue;
    const size_t offset = image.values_.size();
    image.values_.resize(offset + std::max<size_t>(1, RegisterSize(id) / 8));
    if (IsZeroInANewVcpu(id)) {
      image.registers_.push_back({id, offset});
      continue;
    }
    void* const value = &image.values_[offset];
    RETURN_IF_ERROR(Access(vcpu_fd, uapi::kGetOneReg, id, value));
    ASSIGN_OR_RETURN(const bool writable, IsWritable(vcpu_fd, id, value));
    if (writable) image.registers_.push_back({id, offset});
  }
  return image;
}

absl::Status ResetImage::Restore(int vcpu_fd) const {
  for (const Register& reg : registers_) {
    RETURN_IF_ERROR(
        Access(vcpu_fd, uapi::kSetOneReg, reg.id, &values_[reg.offset]));
  }
  kvm_vcpu_events no_pending_serror = {};
  return Ioctl(vcpu_fd, uapi::kSetVcpuEvents, &no_pending_serror).status();
}

}  // namespace vmm
