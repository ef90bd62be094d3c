// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_ARM64_GIC_H_
#define PARKVMM_VMM_KVM_ARM64_GIC_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/vm.h"

namespace vmm {

// KVM's virtual GIC: version 3 where the host can, else version 2.
class Arm64Gic {
 public:
  Arm64Gic() = default;
  // Creates and places the GIC. kFailedPrecondition if the host has none that
  // fits the spec; other errors as KvmError()'s.
  static absl::StatusOr<Arm64Gic> Create(int vm_fd, const VmSpec& spec);
  // Call it once all vCPUs exist and before one runs.
  absl::Status Initialize() const;
  GicVersion version() const { return version_; }

 private:
  absl::Status Set(uint32_t group, uint64_t attribute, const void* value) const;
  absl::Status Place(uint64_t what, uint64_t where) const;
  absl::Status PlaceV2(const VmSpec& spec) const;
  absl::Status PlaceV3(const VmSpec& spec) const;

  UniqueFd device_;
  GicVersion version_ = GicVersion::kV3;
  uint32_t spis_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_ARM64_GIC_H_
