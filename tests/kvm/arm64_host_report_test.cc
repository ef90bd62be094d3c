// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>

#include "tests/kvm/fake_kvm.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/host_report.h"

namespace vmm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

HostCheck Check(const std::string& id) {
  const HostReport report = ExamineHost();
  for (const HostCheck& check : report.checks) {
    if (check.id == id) return check;
  }
  return {"no such check: " + id, "", "", ""};
}
std::string Value(const std::string& id) { return Check(id).value; }
std::string Remedy(const std::string& id) { return Check(id).remedy; }

TEST(Arm64HostReportTest, AHostThatHasEverythingIsUsable) {
  FakeKvm kvm;
  EXPECT_TRUE(ExamineHost().usable());
  EXPECT_EQ(Value("dev_kvm"), "usable");
  EXPECT_EQ(Value("kvm_api"), "12");
  EXPECT_EQ(Value("smccc_filter"), "yes");
  EXPECT_EQ(Value("gic"), "v3");
  EXPECT_EQ(Value("max_vcpus"), "512");
}

TEST(Arm64HostReportTest, ChecksComeInTheOrderOfTheDoctorsLines) {
  FakeKvm kvm;
  std::vector<std::string> ids;
  for (const HostCheck& check : ExamineHost().checks) ids.push_back(check.id);
  EXPECT_THAT(
      ids, testing::ElementsAre("machine", "kernel", "midr", "dev_kvm", "mode",
                                "kvm_api", "smccc_filter", "gic", "ipa_bits",
                                "max_vcpus", "fwb", "sve", "pauth",
                                "debug_registers", "label", "label_reason"));
}

TEST(Arm64HostReportTest, NamesTheMachineAndItsKernel) {
  FakeKvm kvm;
  utsname name = {};
  ASSERT_EQ(uname(&name), 0);
  EXPECT_EQ(Value("machine"), name.machine);
  EXPECT_EQ(Value("kernel"), name.release);
}

TEST(Arm64HostReportTest, ChangesNothing) {
  FakeKvm kvm;
  ExamineHost();
  EXPECT_EQ(kvm.gic, 0u);
  EXPECT_TRUE(kvm.filters.empty());
  EXPECT_THAT(kvm.calls(), testing::Not(testing::Contains("KVM_RUN")));
  EXPECT_TRUE(kvm.writes().empty());
}

TEST(Arm64HostReportTest, WithoutDevKvmItSaysWhatToDo) {
  FakeKvm kvm;
  for (const int error : {EACCES, EPERM}) {
    kvm.open_error = error;
    EXPECT_EQ(Value("dev_kvm"), "not allowed");
    EXPECT_THAT(Remedy("dev_kvm"), HasSubstr("group"));
  }
  kvm.open_error = ENOENT;
  EXPECT_EQ(Value("dev_kvm"), "missing");
  EXPECT_THAT(Remedy("dev_kvm"), HasSubstr("EL2"));
  EXPECT_FALSE(ExamineHost().usable());
  EXPECT_THAT(Value("gic"), "");
  EXPECT_TRUE(kvm.calls().empty());
}

TEST(Arm64HostReportTest, AKvmWithoutAVmIsNotAsked) {
  FakeKvm kvm;
  kvm.FailNext(uapi::kCreateVm, ENOMEM);
  const HostReport report = ExamineHost();
  EXPECT_FALSE(report.usable());
  for (const HostCheck& check : report.checks) {
    EXPECT_NE(check.id, "smccc_filter");
    if (check.id == "dev_kvm") {
      EXPECT_EQ(check.value, "makes no VM: Cannot allocate memory");
      EXPECT_THAT(check.remedy, HasSubstr("kernel log"));
    }
  }
}

TEST(Arm64HostReportTest, AHostWithFewAddressBitsHasAVmToo) {
  FakeKvm kvm;
  kvm.capabilities[KVM_CAP_ARM_VM_IPA_SIZE] = 36;
  EXPECT_EQ(Value("ipa_bits"), "36");
  EXPECT_EQ(kvm.vm_type, 36u);
  kvm.capabilities[KVM_CAP_ARM_VM_IPA_SIZE] = 40;
  EXPECT_EQ(Value("ipa_bits"), "40");
  EXPECT_EQ(kvm.vm_type, 0u);
  kvm.capabilities[KVM_CAP_ARM_VM_IPA_SIZE] = 48;
  EXPECT_EQ(Value("ipa_bits"), "48");
  EXPECT_EQ(kvm.vm_type, 0u);
  kvm.capabilities.erase(KVM_CAP_ARM_VM_IPA_SIZE);
  EXPECT_EQ(Value("ipa_bits"), "40");
}

TEST(Arm64HostReportTest, WhatIsLackingHasARemedy) {
  FakeKvm kvm;
  kvm.smccc_filter = false;
  EXPECT_EQ(Value("smccc_filter"), "no");
  EXPECT_THAT(Remedy("smccc_filter"), HasSubstr("Linux 6.4"));
  kvm.devices = {};
  EXPECT_EQ(Value("gic"), "none");
  EXPECT_THAT(Remedy("gic"), HasSubstr("GICv2 or GICv3"));
  kvm.FailNext(uapi::kGetApiVersion, EINVAL);
  EXPECT_THAT(Remedy("kvm_api"), HasSubstr("API 12"));
}

TEST(Arm64HostReportTest, BothGicsAreNamed) {
  FakeKvm kvm;
  kvm.devices = {KVM_DEV_TYPE_ARM_VGIC_V2};
  EXPECT_EQ(Value("gic"), "v2");
  kvm.devices.insert(KVM_DEV_TYPE_ARM_VGIC_V3);
  EXPECT_EQ(Value("gic"), "v3, v2");
  EXPECT_EQ(Remedy("gic"), "");
}

TEST(Arm64HostReportTest, CapabilitiesAreCounted) {
  FakeKvm kvm;
  EXPECT_EQ(Value("sve"), "no");
  EXPECT_EQ(Value("pauth"), "no");
  EXPECT_EQ(Value("debug_registers"), "0 breakpoints, 0 watchpoints");
  kvm.capabilities[KVM_CAP_ARM_SVE] = 1;
  kvm.capabilities[KVM_CAP_ARM_PTRAUTH_ADDRESS] = 1;
  kvm.capabilities[KVM_CAP_GUEST_DEBUG_HW_BPS] = 6;
  kvm.capabilities[KVM_CAP_GUEST_DEBUG_HW_WPS] = 4;
  EXPECT_EQ(Value("sve"), "yes");
  EXPECT_EQ(Value("pauth"), "yes");
  EXPECT_EQ(Value("debug_registers"), "6 breakpoints, 4 watchpoints");
}

// ID_AA64MMFR2_EL1.FWB, bits 43:40.
TEST(Arm64HostReportTest, ForcedWriteBackIsReadFromAVcpu) {
  FakeKvm kvm;
  EXPECT_EQ(Value("fwb"), "unknown");
  kvm.registers[kIdAa64mmfr2El1].value = {0, 0, 0, 0, 0, 0xf0, 0, 0};
  FakeKvm::Register& reg = kvm.registers[kIdAa64mmfr2El1];
  kvm.vcpus.clear();
  EXPECT_EQ(Value("fwb"), "no");
  reg.value[5] = 0x01;
  kvm.vcpus.clear();
  EXPECT_EQ(Value("fwb"), "yes");
}

TEST(Arm64HostReportTest, TheModeIsWhatTheKernelLogSays) {
  FakeKvm kvm;
  struct Each {
    const char* said;
    const char* mode;
  };
  constexpr Each kEach[] = {{"VHE mode", "VHE"},
                            {"hVHE mode", "hVHE"},
                            {"nVHE mode", "nVHE"},
                            {"Hyp mode", "nVHE"},
                            {"Hyp nVHE mode", "nVHE"},
                            {"Protected hVHE mode", "Protected hVHE"},
                            {"Protected nVHE mode", "Protected nVHE"}};
  for (const Each& each : kEach) {
    kvm.log = std::string("<6>[    0.1] kvm [1]: ") + each.said +
              " initialized successfully\n";
    EXPECT_EQ(Value("mode"), each.mode);
  }
  kvm.log = "<6>[    0.1] kvm [1]: HYP mode not available\n";
  EXPECT_THAT(Value("mode"), StartsWith("unknown (no longer"));
  kvm.log_error = EPERM;
  EXPECT_THAT(Value("mode"), HasSubstr("not readable"));
}

}  // namespace
}  // namespace vmm
