// SPDX-License-Identifier: Apache-2.0
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/host_label.h"
#include "vmm/kvm/host_report.h"
#include "vmm/kvm/system_calls.h"
#include "vmm/kvm/uapi.h"

namespace vmm {
namespace {

std::string YesNo(bool value) { return value ? "yes" : "no"; }

std::string FirstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "unknown";
}

// What KVM said when it came up; nobody tells user space later.
std::string HypervisorMode() {
  std::string log(1 << 20, '\0');
  const int size = ReadKernelLog(log.data(), log.size());
  if (size < 0) return "unknown (the kernel log is not readable)";
  log.resize(static_cast<size_t>(size));
  // "kvm [1]: VHE mode initialized successfully", with these words for modes.
  for (const absl::string_view mode : {"VHE", "hVHE", "nVHE", "Hyp", "Hyp nVHE",
                                       "Protected hVHE", "Protected nVHE"}) {
    if (absl::StrContains(log,
                          absl::StrCat("]: ", mode, " mode initialized"))) {
      return mode == "Hyp" || mode == "Hyp nVHE" ? "nVHE" : std::string(mode);
    }
  }
  return "unknown (no longer in the kernel log)";
}

// A VM to ask; nothing of it runs.
class Probe {
 public:
  Probe() : kvm_(OpenDevKvm()), error_(errno) {
    if (!kvm_.valid()) return;
    vm_ = UniqueFd(RawIoctl(kvm_.get(), uapi::kCreateVm, AddressBits()));
    error_ = errno;
  }
  bool opened() const { return kvm_.valid(); }
  bool has_vm() const { return vm_.valid(); }
  // Of the last step that was tried: opening /dev/kvm or making a VM.
  int error() const { return error_; }
  // The argument of KVM_CREATE_VM. 0 stands for 40 bits, which some hosts lack.
  unsigned long AddressBits() const {
    const int limit =
        RawIoctl(kvm_.get(), uapi::kCheckExtension, KVM_CAP_ARM_VM_IPA_SIZE);
    return limit > 0 && limit < 40 ? static_cast<unsigned long>(limit) : 0;
  }
  int Api() const { return RawIoctl(kvm_.get(), uapi::kGetApiVersion, 0); }
  int Capability(unsigned long capability) const {
    return std::max(0, RawIoctl(vm_.get(), uapi::kCheckExtension, capability));
  }
  bool HasDevice(uint32_t type) const {
    kvm_create_device request = {};
    request.type = type;
    request.flags = KVM_CREATE_DEVICE_TEST;
    return RawIoctl(vm_.get(), uapi::kCreateDevice, &request) == 0;
  }
  bool HasSmcccFilter() const {
    kvm_device_attr attribute = {};
    attribute.group = uapi::kArmVmSmcccControl;
    attribute.attr = uapi::kArmVmSmcccFilter;
    return RawIoctl(vm_.get(), uapi::kHasDeviceAttr, &attribute) == 0;
  }
  // FEAT_S2FWB as the host's sanitised ID_AA64MMFR2_EL1 shows it to a vCPU.
  std::string Fwb() const {
    UniqueFd vcpu(RawIoctl(vm_.get(), uapi::kCreateVcpu, 0));
    kvm_vcpu_init init = {};
    uint64_t value = 0;
    kvm_one_reg reg = {kIdAa64mmfr2El1, reinterpret_cast<uintptr_t>(&value)};
    if (RawIoctl(vm_.get(), uapi::kArmPreferredTarget, &init) != 0 ||
        RawIoctl(vcpu.get(), uapi::kArmVcpuInit, &init) != 0 ||
        RawIoctl(vcpu.get(), uapi::kGetOneReg, &reg) != 0) {
      return "unknown";
    }
    return YesNo(((value >> 40) & 0xf) != 0);
  }

 private:
  UniqueFd kvm_;
  int error_;
  UniqueFd vm_;
};

HostCheck DevKvm(const Probe& probe) {
  HostCheck check = {"dev_kvm", "/dev/kvm", "usable", ""};
  if (probe.has_vm()) return check;
  if (probe.opened()) {
    check.value = absl::StrCat("makes no VM: ", std::strerror(probe.error()));
    check.remedy = "look in the kernel log for what KVM says about it";
    return check;
  }
  const bool denied = probe.error() == EACCES || probe.error() == EPERM;
  check.value = denied ? "not allowed" : "missing";
  check.remedy =
      denied ? "add yourself to the group that owns /dev/kvm (usually kvm)"
             : "use a host whose kernel runs at EL2 with CONFIG_KVM, or "
               "tools/arm64-host --emulated";
  return check;
}

std::string GicVersions(const Probe& probe) {
  std::string found;
  if (probe.HasDevice(KVM_DEV_TYPE_ARM_VGIC_V3)) found = "v3";
  if (probe.HasDevice(KVM_DEV_TYPE_ARM_VGIC_V2)) {
    absl::StrAppend(&found, found.empty() ? "" : ", ", "v2");
  }
  return found.empty() ? "none" : found;
}

void ExamineKvm(const Probe& probe, std::vector<HostCheck>& checks) {
  const auto add = [&](std::string id, std::string title, std::string value,
                       std::string remedy = "") {
    checks.push_back(
        {std::move(id), std::move(title), std::move(value), std::move(remedy)});
  };
  const int api = probe.Api();
  add("kvm_api", "KVM API", absl::StrCat(api),
      api == KVM_API_VERSION ? "" : "use a Linux kernel with KVM API 12");
  const bool filter = probe.HasSmcccFilter();
  add("smccc_filter", "SMCCC filter", YesNo(filter),
      filter ? "" : "use Linux 6.4 or newer, or run with --psci kvm");
  const std::string gic = GicVersions(probe);
  add("gic", "Virtual GIC", gic,
      gic == "none" ? "use a host with a GICv2 or GICv3 that KVM supports"
                    : "");
  const int ipa = probe.Capability(KVM_CAP_ARM_VM_IPA_SIZE);
  add("ipa_bits", "IPA bits", absl::StrCat(ipa == 0 ? 40 : ipa));
  add("max_vcpus", "Max vCPUs",
      absl::StrCat(probe.Capability(KVM_CAP_MAX_VCPUS)));
  add("fwb", "FEAT_S2FWB", probe.Fwb());
  add("sve", "SVE", YesNo(probe.Capability(KVM_CAP_ARM_SVE) > 0));
  add("pauth", "PAuth",
      YesNo(probe.Capability(KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0));
  add("debug_registers", "Debug registers",
      absl::StrFormat("%d breakpoints, %d watchpoints",
                      probe.Capability(KVM_CAP_GUEST_DEBUG_HW_BPS),
                      probe.Capability(KVM_CAP_GUEST_DEBUG_HW_WPS)));
}

}  // namespace

HostReport ExamineHost() {
  utsname name = {};
  uname(&name);
  const Probe probe;
  HostReport report;
  report.checks = {
      {"machine", "Machine", name.machine, ""},
      {"kernel", "Host kernel", name.release, ""},
      {"midr", "MIDR",
       FirstLine("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1"),
       ""},
      DevKvm(probe)};
  if (probe.opened()) {
    report.checks.push_back({"mode", "Hypervisor mode", HypervisorMode(), ""});
  }
  if (probe.has_vm()) ExamineKvm(probe, report.checks);
  const auto label = LabelOf(ReadHostSigns(), "");
  const std::string why(label.ok() ? label->reason : label.status().message());
  report.checks.push_back(
      {"label", "Results' label", label.ok() ? label->name : "unknown", ""});
  report.checks.push_back({"label_reason", "Reason for it", why, ""});
  return report;
}

}  // namespace vmm
