// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/arm64_gic.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "vmm/base/status_macros.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/uapi.h"

namespace vmm {
namespace {

constexpr uint32_t kPrivateInterrupts = 32;  // SGIs and PPIs.
constexpr uint64_t kRedistributorSize = 0x20000;
constexpr uint32_t kMaxV2Vcpus = 8;

// Returns an invalid descriptor if this host has no such device.
absl::StatusOr<UniqueFd> CreateDevice(int vm_fd, uint32_t type) {
  kvm_create_device request = {};
  request.type = type;
  if (PatientIoctl(vm_fd, uapi::kCreateDevice, &request) == 0) {
    return UniqueFd(static_cast<int>(request.fd));
  }
  if (errno == ENODEV) return UniqueFd();
  return IoctlError(uapi::kCreateDevice);
}

// KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: count in 63:52, base, index in 11:0.
constexpr uint64_t RedistributorRegion(GuestRange where, uint64_t count,
                                       uint64_t index) {
  return count << 52 | where.base().value() | index;
}

}  // namespace

absl::StatusOr<Arm64Gic> Arm64Gic::Create(int vm_fd, const VmSpec& spec) {
  Arm64Gic gic;
  gic.spis_ = spec.spis;
  ASSIGN_OR_RETURN(gic.device_, CreateDevice(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V3));
  if (gic.device_.valid()) {
    RETURN_IF_ERROR(gic.PlaceV3(spec));
    return gic;
  }
  gic.version_ = GicVersion::kV2;
  ASSIGN_OR_RETURN(gic.device_, CreateDevice(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V2));
  if (!gic.device_.valid()) {
    return absl::FailedPreconditionError(
        "this host's KVM offers neither GICv3 nor GICv2; use a host with a GIC "
        "that KVM supports");
  }
  if (spec.vcpus > kMaxV2Vcpus) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "this host's KVM offers GICv2 only, which has %d CPUs at most; ask "
        "for less with --cpus",
        kMaxV2Vcpus));
  }
  RETURN_IF_ERROR(gic.PlaceV2(spec));
  return gic;
}

absl::Status Arm64Gic::Set(uint32_t group, uint64_t attribute,
                           const void* value) const {
  kvm_device_attr request = {};
  request.group = group;
  request.attr = attribute;
  request.addr = reinterpret_cast<uintptr_t>(value);
  return Ioctl(device_.get(), uapi::kSetDeviceAttr, &request).status();
}

absl::Status Arm64Gic::Place(uint64_t what, uint64_t where) const {
  return Set(KVM_DEV_ARM_VGIC_GRP_ADDR, what, &where);
}

absl::Status Arm64Gic::PlaceV2(const VmSpec& spec) const {
  RETURN_IF_ERROR(
      Place(KVM_VGIC_V2_ADDR_TYPE_DIST, spec.gic_distributor.base().value()));
  return Place(KVM_VGIC_V2_ADDR_TYPE_CPU, spec.gic_cpu.base().value());
}

absl::Status Arm64Gic::PlaceV3(const VmSpec& spec) const {
  RETURN_IF_ERROR(
      Place(KVM_VGIC_V3_ADDR_TYPE_DIST, spec.gic_distributor.base().value()));
  const uint64_t fit = std::min<uint64_t>(
      spec.vcpus, spec.gic_redistributors.size() / kRedistributorSize);
  RETURN_IF_ERROR(Place(KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                        RedistributorRegion(spec.gic_redistributors, fit, 0)));
  if (fit == spec.vcpus) return absl::OkStatus();
  return Place(
      KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
      RedistributorRegion(spec.gic_redistributors_high, spec.vcpus - fit, 1));
}

absl::Status Arm64Gic::Initialize() const {
  const uint32_t interrupts = kPrivateInterrupts + spis_;
  RETURN_IF_ERROR(Set(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts));
  return Set(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, nullptr);
}

}  // namespace vmm
