// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/conclusion.h"

#include <gtest/gtest.h>

#include <vector>

namespace vmm {
namespace {

using Kind = StopReason::Kind;

const std::vector<Boot> kGood = {{.cpus = 4, .cpus_back = 4, .complete = true},
                                 {.kexec = true,
                                  .announced = true,
                                  .cpus = 4,
                                  .cpus_back = 4,
                                  .complete = true}};
const std::vector<Boot> kLost = {{.cpus = 4, .cpus_back = 4, .complete = true},
                                 {.kexec = true,
                                  .announced = true,
                                  .cpus = 4,
                                  .cpus_back = 3,
                                  .complete = true}};
const std::vector<Boot> kCrashKernelOnOneCpu = {
    {.cpus = 4, .cpus_back = 4, .complete = true},
    {.kexec = true, .cpus = 4, .cpus_back = 1, .complete = true}};
const std::vector<Boot> kMoreThanThereWere = {
    {.cpus = 4, .cpus_back = 4, .complete = true},
    {.kexec = true,
     .announced = true,
     .cpus = 1,
     .cpus_back = 4,
     .complete = true}};
const std::vector<Boot> kNeverUp = {{.cpus = 4, .cpus_back = 1}};

struct Case {
  const char* name;
  RunFacts facts;
  ExitCode code;
  const char* id;
};

class ConclusionTest : public testing::TestWithParam<Case> {};

TEST_P(ConclusionTest, SaysWhoFailed) {
  const Conclusion conclusion = Conclude(GetParam().facts);
  EXPECT_EQ(conclusion.code, GetParam().code);
  EXPECT_EQ(conclusion.id, GetParam().id);
  EXPECT_EQ(conclusion.sentence.empty(), conclusion.code == ExitCode::kOk);
}

INSTANTIATE_TEST_SUITE_P(
    All, ConclusionTest,
    testing::Values(
        Case{"PowerOff",
             {.stop = {Kind::kPowerOff}, .boots = kGood},
             ExitCode::kOk,
             ""},
        Case{"ExpectedKexecs",
             {.stop = {Kind::kPowerOff}, .boots = kGood, .expected_kexecs = 1},
             ExitCode::kOk,
             ""},
        Case{"MissingKexecs",
             {.stop = {Kind::kPowerOff}, .boots = kGood, .expected_kexecs = 3},
             ExitCode::kVerdict,
             "kexecs-missing"},
        Case{"LostCpu",
             {.stop = {Kind::kPowerOff}, .boots = kLost, .expected_kexecs = 1},
             ExitCode::kCpuStuck,
             "cpus-lost"},
        Case{"CrashKernelOnOneCpu",
             {.stop = {Kind::kPowerOff},
              .boots = kCrashKernelOnOneCpu,
              .expected_kexecs = 1},
             ExitCode::kOk,
             ""},
        Case{"AfterMaxcpus1",
             {.stop = {Kind::kPowerOff},
              .boots = kMoreThanThereWere,
              .expected_kexecs = 1},
             ExitCode::kOk,
             ""},
        Case{"PowerOffInKexec",
             {.stop = {Kind::kPowerOff}, .in_kexec = true, .boots = kGood},
             ExitCode::kUnexpectedReset,
             "power-off-in-kexec"},
        Case{"Reset",
             {.stop = {Kind::kReset, "the guest reset"}},
             ExitCode::kUnexpectedReset,
             "reset"},
        Case{"PanicThenReset",
             {.stop = {Kind::kReset}, .panic = "Kernel panic"},
             ExitCode::kGuestPanic,
             "guest-panic"},
        Case{"PanicThenHang",
             {.stop = {Kind::kPanicked}, .panic = "Kernel panic"},
             ExitCode::kGuestPanic,
             "guest-panic"},
        Case{"NoSignOfLife",
             {.stop = {Kind::kTimeout, "waited"}},
             ExitCode::kBootTimeout,
             "boot-timeout"},
        Case{"KexecTimeout",
             {.stop = {Kind::kTimeout, "waited"},
              .saw_kernel = true,
              .in_kexec = true,
              .boots = kGood},
             ExitCode::kBootTimeout,
             "kexec-timeout"},
        Case{"BootTimeoutWhenMarksAreExpected",
             {.stop = {Kind::kTimeout, "waited"},
              .saw_kernel = true,
              .boots = kNeverUp,
              .expected_kexecs = 1},
             ExitCode::kBootTimeout,
             "boot-timeout"},
        Case{"OverallTimeout",
             {.stop = {Kind::kTimeout, "waited"},
              .saw_kernel = true,
              .boots = kGood},
             ExitCode::kTimeout,
             "timeout"},
        Case{"AllOff",
             {.stop = {Kind::kAllOff}, .saw_kernel = true},
             ExitCode::kCpuStuck,
             "all-cpus-off"},
        Case{"Stuck",
             {.stop = {Kind::kStuck, "KVM could not"}},
             ExitCode::kCpuStuck,
             "vcpu-stuck"},
        Case{"VmmError",
             {.stop = {Kind::kVmmError, "ioctl"}, .panic = "Kernel panic"},
             ExitCode::kVmmBug,
             "vmm-bug"},
        Case{"Interrupted",
             {.stop = {Kind::kInterrupt, "ctrl-a x"}},
             ExitCode::kInterrupted,
             "interrupted"},
        Case{"Splat",
             {.stop = {Kind::kPowerOff},
              .splat = "WARNING: CPU: 1",
              .saw_kernel = true,
              .boots = kGood},
             ExitCode::kVerdict,
             "guest-splat"},
        Case{"Pass", {.stop = {Kind::kVerdict}}, ExitCode::kOk, ""},
        Case{"Fail",
             {.stop = {.kind = Kind::kVerdict, .code = 1, .value = 42}},
             ExitCode::kVerdict,
             "guest-verdict"}),
    [](const auto& param) { return param.param.name; });

TEST(StrictTest, ADiagnosisFailsTheRunOnlyIfThatWasAskedFor) {
  const std::vector<Diagnosis> diagnoses = {
      {.fault = psci::ParkFault::kExitNotRam}};
  RunFacts facts = {.stop = {Kind::kVerdict}, .diagnoses = diagnoses};
  EXPECT_EQ(Conclude(facts).code, ExitCode::kOk);
  facts.strict = true;
  EXPECT_EQ(Conclude(facts).code, ExitCode::kCpuStuck);
  EXPECT_EQ(Conclude(facts).id, "exit-not-ram");
  facts.diagnoses = {};
  EXPECT_EQ(Conclude(facts).code, ExitCode::kOk);
}

TEST(StrictTest, WhatIsOursIsSaidFirst) {
  const std::vector<Diagnosis> diagnoses = {{}};
  const RunFacts facts = {.stop = {Kind::kVmmError, "ioctl"},
                          .diagnoses = diagnoses,
                          .strict = true};
  EXPECT_EQ(Conclude(facts).code, ExitCode::kVmmBug);
}

}  // namespace
}  // namespace vmm
