// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/arm64_gic.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "vmm/base/status_macros.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/uapi.h"

namespace vmm {
namespace {

constexpr uint32_t kInterrupts = 128;  // SGIs, PPIs and 96 SPIs.
constexpr uint64_t kRedistributorSize = 0x20000;
constexpr uint32_t kMaxV2Vcpus = 8;

absl::StatusOr<UniqueFd> CreateDevice(int vm_fd, uint32_t type) {
  kvm_create_device request = {};
  request.type = type;
  RETURN_IF_ERROR(Ioctl(vm_fd, uapi::kCreateDevice, &request).status());
  return UniqueFd(static_cast<int>(request.fd));
}

// KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: count in 63:52, base, index in 11:0.
constexpr uint64_t RedistributorRegion(GuestRange where, uint64_t count,
                                       uint64_t index) {
  return count << 52 | where.base().value() | index;
}

}  // namespace

absl::StatusOr<Arm64Gic> Arm64Gic::Create(int vm_fd, const VmSpec& spec) {
  Arm64Gic gic;
  if (auto v3 = CreateDevice(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V3); v3.ok()) {
    gic.device_ = *std::move(v3);
    gic.version_ = GicVersion::kV3;
    RETURN_IF_ERROR(gic.PlaceV3(spec));
    return gic;
  }
  auto v2 = CreateDevice(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V2);
  if (!v2.ok()) {
    return absl::FailedPreconditionError(
        "this host's KVM offers neither GICv3 nor GICv2");
  }
  if (spec.vcpus > kMaxV2Vcpus) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "this host's KVM offers GICv2 only, which has %d CPUs at most; ask "
        "for less with --cpus",
        kMaxV2Vcpus));
  }
  gic.device_ = *std::move(v2);
  gic.version_ = GicVersion::kV2;
  RETURN_IF_ERROR(gic.PlaceV2(spec));
  return gic;
}

absl::Status Arm64Gic::Set(uint32_t group, uint64_t attribute,
                           uint64_t value) const {
  kvm_device_attr request = {};
  request.group = group;
  request.attr = attribute;
  request.addr = reinterpret_cast<uintptr_t>(&value);
  return Ioctl(device_.get(), uapi::kSetDeviceAttr, &request).status();
}

absl::Status Arm64Gic::PlaceV2(const VmSpec& spec) const {
  RETURN_IF_ERROR(Set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST,
                      spec.gic_distributor.base().value()));
  return Set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU,
             spec.gic_cpu.base().value());
}

absl::Status Arm64Gic::PlaceV3(const VmSpec& spec) const {
  RETURN_IF_ERROR(Set(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST,
                      spec.gic_distributor.base().value()));
  const uint64_t fit = std::min<uint64_t>(
      spec.vcpus, spec.gic_redistributors.size() / kRedistributorSize);
  RETURN_IF_ERROR(Set(KVM_DEV_ARM_VGIC_GRP_ADDR,
                      KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                      RedistributorRegion(spec.gic_redistributors, fit, 0)));
  if (fit == spec.vcpus) return absl::OkStatus();
  return Set(
      KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
      RedistributorRegion(spec.gic_redistributors_high, spec.vcpus - fit, 1));
}

absl::Status Arm64Gic::Initialize() const {
  uint32_t interrupts = kInterrupts;
  kvm_device_attr request = {};
  request.group = KVM_DEV_ARM_VGIC_GRP_NR_IRQS;
  request.addr = reinterpret_cast<uintptr_t>(&interrupts);
  RETURN_IF_ERROR(
      Ioctl(device_.get(), uapi::kSetDeviceAttr, &request).status());
  kvm_device_attr init = {};
  init.group = KVM_DEV_ARM_VGIC_GRP_CTRL;
  init.attr = KVM_DEV_ARM_VGIC_CTRL_INIT;
  return Ioctl(device_.get(), uapi::kSetDeviceAttr, &init).status();
}

}  // namespace vmm
