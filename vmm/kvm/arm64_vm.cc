// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/arm64_gic.h"
#include "vmm/kvm/arm64_vcpu.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/system_calls.h"
#include "vmm/kvm/uapi.h"
#include "vmm/kvm/vm.h"

namespace vmm {
namespace {

// PSCI's function numbers, SMC32 and SMC64 (DEN0022), and the four functions
// of PSCI 0.1, which would go past us to KVM.
constexpr uapi::SmcccFilter kFilters[] = {
    {0x84000000, 0x20, uapi::kSmcccFilterForwardToUser, {}},
    {0xc4000000, 0x20, uapi::kSmcccFilterForwardToUser, {}},
    {0x95c1ba5e, 4, uapi::kSmcccFilterDeny, {}},
};

// Returns whether KVM fails with `error` for a request, a capability or an
// attribute that is newer than it is.
constexpr bool IsUnknownToKvm(int error) {
  return error == EINVAL || error == ENOTTY || error == ENXIO;
}

// Turns errno of a request that failed into a status. KVM lacks something only
// if the request says so and `has`, a question of its own, does as well: it
// would fail in the same way if we asked for nonsense.
template <typename Argument>
absl::Status LacksOrFailed(uapi::Request<Argument> request,
                           absl::FunctionRef<bool()> has, const char* lack) {
  const int error = errno;
  const absl::Status failed = IoctlError(request);
  return IsUnknownToKvm(error) && !has() ? absl::FailedPreconditionError(lack)
                                         : failed;
}

absl::Status ForwardPsci(int vm_fd) {
  for (const uapi::SmcccFilter& filter : kFilters) {
    kvm_device_attr attribute = {};
    attribute.group = uapi::kArmVmSmcccControl;
    attribute.attr = uapi::kArmVmSmcccFilter;
    attribute.addr = reinterpret_cast<uintptr_t>(&filter);
    if (PatientIoctl(vm_fd, uapi::kSetDeviceAttr, &attribute) == 0) continue;
    const auto has_filter = [&] {
      return RawIoctl(vm_fd, uapi::kHasDeviceAttr, &attribute) == 0;
    };
    return LacksOrFailed(
        uapi::kSetDeviceAttr, has_filter,
        "this host's KVM has no SMCCC filter: PSCI cannot be answered by the "
        "VMM; use Linux 6.4 or newer, or --psci kvm");
  }
  return absl::OkStatus();
}

// The argument of KVM_CREATE_VM: 0 is 40 bits of guest physical address.
absl::StatusOr<unsigned long> IpaBits(int kvm_fd, GuestAddress last) {
  constexpr int kDefault = 40;
  const auto needed = static_cast<int>(std::bit_width(last.value()));
  const int limit = std::max(
      0, RawIoctl(kvm_fd, uapi::kCheckExtension, KVM_CAP_ARM_VM_IPA_SIZE));
  if (needed > (limit == 0 ? kDefault : limit)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the guest needs %d bits of physical address, this host's KVM has %d; "
        "ask for less with --memory or --cpus",
        needed, limit == 0 ? kDefault : limit));
  }
  if (limit == 0 || (needed <= kDefault && kDefault <= limit)) return 0ul;
  return static_cast<unsigned long>(limit);
}

struct VcpuFeatures {
  kvm_vcpu_init boot = {};
  bool sve = false;
  void Add(unsigned bit) { boot.features[bit / 32] |= 1u << (bit % 32); }
};

class Arm64Vm : public Vm {
 public:
  Arm64Vm(UniqueFd kvm, UniqueFd fd, const VmSpec& spec)
      : kvm_(std::move(kvm)), fd_(std::move(fd)), spec_(spec) {}

  absl::Status CreateGic() {
    ASSIGN_OR_RETURN(gic_, Arm64Gic::Create(fd_.get(), spec_));
    return absl::OkStatus();
  }

  GicVersion gic() const override { return gic_.version(); }

  absl::Status AddRam(GuestRange range, void* memory) override {
    kvm_userspace_memory_region region = {};
    region.slot = 0;
    region.guest_phys_addr = range.base().value();
    region.memory_size = range.size();
    region.userspace_addr = reinterpret_cast<uintptr_t>(memory);
    return Ioctl(fd_.get(), uapi::kSetUserMemoryRegion, &region).status();
  }

  absl::StatusOr<std::vector<std::unique_ptr<Vcpu>>> CreateVcpus() override;

  absl::Status SetSpi(unsigned spi, bool level) override {
    kvm_irq_level line = {};
    line.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (32 + spi);
    line.level = level;
    return Ioctl(fd_.get(), uapi::kIrqLine, &line).status();
  }

 private:
  bool Has(unsigned long capability) const {
    return RawIoctl(fd_.get(), uapi::kCheckExtension, capability) > 0;
  }
  absl::StatusOr<VcpuFeatures> Features() const;
  absl::StatusOr<UniqueFd> CreateVcpu(uint32_t index,
                                      const VcpuFeatures& features) const;

  const UniqueFd kvm_;
  const UniqueFd fd_;
  const VmSpec spec_;
  Arm64Gic gic_;
};

absl::StatusOr<VcpuFeatures> Arm64Vm::Features() const {
  VcpuFeatures features;
  if (PatientIoctl(fd_.get(), uapi::kArmPreferredTarget, &features.boot) < 0) {
    if (errno != ENODEV) return IoctlError(uapi::kArmPreferredTarget);
    return absl::FailedPreconditionError(
        "this host's KVM knows no vCPU for its CPUs; use a newer Linux");
  }
  features.Add(KVM_ARM_VCPU_PSCI_0_2);
  if (Has(KVM_CAP_ARM_SVE)) {
    features.sve = true;
    features.Add(KVM_ARM_VCPU_SVE);
  }
  // KVM wants both or neither.
  if (Has(KVM_CAP_ARM_PTRAUTH_ADDRESS) && Has(KVM_CAP_ARM_PTRAUTH_GENERIC)) {
    features.Add(KVM_ARM_VCPU_PTRAUTH_ADDRESS);
    features.Add(KVM_ARM_VCPU_PTRAUTH_GENERIC);
  }
  return features;
}

absl::StatusOr<UniqueFd> Arm64Vm::CreateVcpu(
    uint32_t index, const VcpuFeatures& features) const {
  ASSIGN_OR_RETURN(const int raw, Ioctl(fd_.get(), uapi::kCreateVcpu, index));
  UniqueFd vcpu(raw);
  kvm_vcpu_init init = features.boot;
  // Only KVM's own PSCI needs to know who starts off; ours keeps the others
  // out of KVM_RUN.
  if (spec_.psci == PsciHandler::kKvm && index != 0) {
    init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
  }
  RETURN_IF_ERROR(Ioctl(vcpu.get(), uapi::kArmVcpuInit, &init).status());
  if (features.sve) {
    int feature = KVM_ARM_VCPU_SVE;
    RETURN_IF_ERROR(
        Ioctl(vcpu.get(), uapi::kArmVcpuFinalize, &feature).status());
  }
  return vcpu;
}

absl::StatusOr<std::vector<std::unique_ptr<Vcpu>>> Arm64Vm::CreateVcpus() {
  RETURN_IF_ERROR(Arm64Vcpu::PrepareForKicks());
  ASSIGN_OR_RETURN(const int run_size,
                   Ioctl(kvm_.get(), uapi::kGetVcpuMmapSize, 0));
  ASSIGN_OR_RETURN(const VcpuFeatures features, Features());
  std::vector<std::unique_ptr<Vcpu>> vcpus;
  std::shared_ptr<const ResetImage> reset;
  for (uint32_t index = 0; index < spec_.vcpus; ++index) {
    ASSIGN_OR_RETURN(UniqueFd fd, CreateVcpu(index, features));
    if (reset == nullptr && spec_.vcpus > 1) {
      ASSIGN_OR_RETURN(ResetImage image, ResetImage::Capture(fd.get()));
      reset = std::make_shared<const ResetImage>(std::move(image));
    }
    ASSIGN_OR_RETURN(
        vcpus.emplace_back(),
        Arm64Vcpu::Create(std::move(fd), static_cast<size_t>(run_size), reset));
  }
  RETURN_IF_ERROR(gic_.Initialize());
  if (spec_.psci == PsciHandler::kVmm) RETURN_IF_ERROR(ForwardPsci(fd_.get()));
  return vcpus;
}

// Makes KVM_RUN return from an access that KVM cannot describe, in place of
// failing.
absl::Status ReportUndecodableAccesses(int vm_fd) {
  kvm_enable_cap nisv = {};
  nisv.cap = KVM_CAP_ARM_NISV_TO_USER;
  if (PatientIoctl(vm_fd, uapi::kEnableCap, &nisv) == 0) {
    return absl::OkStatus();
  }
  const auto has_it = [vm_fd] {
    return RawIoctl(vm_fd, uapi::kCheckExtension, KVM_CAP_ARM_NISV_TO_USER) > 0;
  };
  return LacksOrFailed(
      uapi::kEnableCap, has_it,
      "this host's KVM does not report accesses that it cannot decode; use "
      "Linux 5.5 or newer");
}

absl::Status CheckVcpuCount(int kvm_fd, uint32_t vcpus) {
  const int limit = RawIoctl(kvm_fd, uapi::kCheckExtension, KVM_CAP_MAX_VCPUS);
  if (limit > 0 && vcpus > static_cast<uint32_t>(limit)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%d vCPUs are more than this host's KVM can run (%d); ask for less "
        "with --cpus",
        vcpus, limit));
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> OpenKvmDevice() {
  UniqueFd kvm(OpenDevKvm());
  if (kvm.valid()) return kvm;
  if (absl::Status status = KvmError("/dev/kvm");
      absl::IsResourceExhausted(status)) {
    return status;
  }
  const bool denied = errno == EACCES || errno == EPERM;
  return absl::FailedPreconditionError(absl::StrFormat(
      "/dev/kvm: %s; %s", std::strerror(errno),
      denied ? "add yourself to the group that owns it (usually kvm)"
             : "use an arm64 host with KVM, or tools/arm64-host"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Vm>> OpenKvm(const VmSpec& spec) {
  ASSIGN_OR_RETURN(UniqueFd kvm, OpenKvmDevice());
  RETURN_IF_ERROR(CheckVcpuCount(kvm.get(), spec.vcpus));
  ASSIGN_OR_RETURN(const unsigned long ipa_bits,
                   IpaBits(kvm.get(), spec.last_address));
  ASSIGN_OR_RETURN(const int raw, Ioctl(kvm.get(), uapi::kCreateVm, ipa_bits));
  UniqueFd fd(raw);
  RETURN_IF_ERROR(ReportUndecodableAccesses(fd.get()));
  auto vm = std::make_unique<Arm64Vm>(std::move(kvm), std::move(fd), spec);
  RETURN_IF_ERROR(vm->CreateGic());
  return vm;
}

}  // namespace vmm
