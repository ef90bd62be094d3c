// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_ARM64_RESET_IMAGE_H_
#define PARKVMM_VMM_KVM_ARM64_RESET_IMAGE_H_

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vmm {

// Returns whether KVM_SET_ONE_REG fails with `error` where a register that was
// just read must not be written: EINVAL for a value or id that KVM refuses,
// EPERM before and EBUSY after a moment that fixes it (Documentation/virt/kvm/
// api.rst). Any other error leaves it unknown whether the register changes.
constexpr bool MeansReadOnly(int error) {
  return error == EINVAL || error == EPERM || error == EBUSY;
}

// The registers of a vCPU that has never run, kept to be restored: what a warm
// reset is to the guest, without KVM_ARM_VCPU_INIT.
//
// Left out are registers that a guest cannot change (identification, firmware
// and cache-geometry registers, SVE's vector lengths) and the two timer
// counters, which KVM shares between all vCPUs of a VM: writing one would make
// time jump for the CPUs that run.
class ResetImage {
 public:
  // Of a vCPU that is initialised and finalised and has not run.
  static absl::StatusOr<ResetImage> Capture(int vcpu_fd);

  // On the vCPU's own thread. The vCPU may be another one of the same VM.
  absl::Status Restore(int vcpu_fd) const;

 private:
  struct Register {
    uint64_t id;
    size_t offset;  // In values_.
  };
  std::vector<Register> registers_;
  std::vector<uint64_t> values_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_ARM64_RESET_IMAGE_H_
