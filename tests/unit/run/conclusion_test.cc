// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/conclusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <vector>

namespace vmm {
namespace {

using Kind = StopReason::Kind;

const std::vector<Boot> kGood = {
    {.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark},
    {.kexec = true,
     .announced = true,
     .cpus = 4,
     .cpus_back = 4,
     .came_up = CameUpBy::kMark}};
const std::vector<Boot> kLost = {
    {.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark},
    {.kexec = true,
     .announced = true,
     .cpus = 4,
     .cpus_back = 3,
     .came_up = CameUpBy::kMark}};
const std::vector<Boot> kCrashKernelOnOneCpu = {
    {.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark},
    {.kexec = true,
     .crash = true,
     .cpus = 4,
     .cpus_back = 1,
     .came_up = CameUpBy::kMark}};
const std::vector<Boot> kMoreThanThereWere = {
    {.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark},
    {.kexec = true,
     .announced = true,
     .cpus = 1,
     .cpus_back = 4,
     .came_up = CameUpBy::kMark}};
const std::vector<Boot> kIncompleteKexec = {
    {.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark},
    {.kexec = true, .announced = true, .cpus = 4, .cpus_back = 4}};
const std::vector<Boot> kNeverUp = {{.cpus = 4, .cpus_back = 1}};

struct Case {
  const char* name;
  RunFacts facts;
  ExitCode code;
  const char* id;
  const char* sentence = nullptr;  // nullptr: any.
};

void PrintTo(const Case& which, std::ostream* out) { *out << which.name; }

class ConclusionTest : public testing::TestWithParam<Case> {};

TEST_P(ConclusionTest, SaysWhoFailed) {
  const Conclusion conclusion = Conclude(GetParam().facts);
  EXPECT_EQ(conclusion.code, GetParam().code);
  EXPECT_EQ(conclusion.id, GetParam().id);
  if (GetParam().sentence != nullptr) {
    EXPECT_EQ(conclusion.sentence, GetParam().sentence);
  }
  EXPECT_EQ(conclusion.sentence.empty(), conclusion.code == ExitCode::kOk);
}

INSTANTIATE_TEST_SUITE_P(
    All, ConclusionTest,
    testing::Values(
        Case{"ACommandThatPassed",
             {.stop = {Kind::kPowerOff},
              .boots = kGood,
              .command = CommandFacts{.started = 2, .status = 0}},
             ExitCode::kOk,
             ""},
        Case{"ACommandThatFailed",
             {.stop = {Kind::kPowerOff},
              .boots = kGood,
              .command = CommandFacts{.started = 1, .status = 7}},
             static_cast<ExitCode>(7),
             "command-failed"},
        Case{"ACommandFailedBeforeThePanic",
             {.stop = {Kind::kPanicked},
              .panic = "Kernel panic",
              .boots = kGood,
              .command = CommandFacts{.started = 1, .status = 3}},
             static_cast<ExitCode>(3),
             "command-failed"},
        Case{"ACommandFailedBeforeTheReset",
             {.stop = {Kind::kReset},
              .boots = kGood,
              .command = CommandFacts{.started = 1, .status = 3}},
             static_cast<ExitCode>(3),
             "command-failed"},
        Case{"APanicAfterACommandThatPassed",
             {.stop = {Kind::kPanicked},
              .panic = "Kernel panic",
              .boots = kGood,
              .command = CommandFacts{.started = 1, .status = 0}},
             ExitCode::kGuestPanic,
             "guest-panic"},
        Case{"AComplaintBesideACommandThatPassed",
             {.stop = {Kind::kPowerOff},
              .splat = "WARNING",
              .boots = kGood,
              .command = CommandFacts{.started = 1, .status = 0}},
             ExitCode::kVerdict,
             "guest-splat"},
        Case{"ALostCpuBeforeTheCommand",
             {.stop = {Kind::kPowerOff},
              .boots = kLost,
              .command = CommandFacts{.started = 2, .status = 1}},
             ExitCode::kCpuStuck,
             "cpus-lost"},
        Case{"ACommandThatCouldNotBeRun",
             {.stop = {Kind::kPowerOff},
              .boots = kGood,
              .command = CommandFacts{.started = 1,
                                      .status = 127,
                                      .broken = "sh: No such file"}},
             static_cast<ExitCode>(127),
             "command-not-run",
             "the guest cannot run the command: sh: No such file"},
        Case{"APowerOffBeforeTheCommandEnded",
             {.stop = {Kind::kPowerOff},
              .boots = kGood,
              .command = CommandFacts{.started = 1}},
             ExitCode::kVerdict,
             "command-unfinished"},
        Case{"AResetBeforeTheCommandEnded",
             {.stop = {Kind::kReset},
              .boots = kGood,
              .command = CommandFacts{.started = 1}},
             ExitCode::kUnexpectedReset,
             "reset"},
        Case{"ACommandThatDoesNotEnd",
             {.stop = {Kind::kTimeout, "waited"},
              .saw_kernel = true,
              .boots = kGood,
              .command = CommandFacts{.started = 1}},
             ExitCode::kTimeout,
             "timeout"},
        Case{"ACommandThatDoesNotStart",
             {.stop = {Kind::kTimeout, "waited"},
              .saw_kernel = true,
              .boots = kGood,
              .command = CommandFacts{}},
             ExitCode::kBootTimeout,
             "boot-timeout"},
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
        Case{"ExpectedKexecsOfWhichNotAllAreKept",
             {.stop = {Kind::kPowerOff},
              .boots = kGood,
              .other_kexecs = 2,
              .expected_kexecs = 3},
             ExitCode::kOk,
             ""},
        Case{"MoreKexecsThanExpected",
             {.stop = {Kind::kPowerOff}, .boots = kGood, .expected_kexecs = 0},
             ExitCode::kVerdict,
             "kexecs-missing"},
        Case{"AnIncompleteKexecIsNone",
             {.stop = {Kind::kPowerOff},
              .boots = kIncompleteKexec,
              .expected_kexecs = 1},
             ExitCode::kVerdict,
             "kexecs-missing"},
        Case{"TheFirstBootIsNoKexec",
             {.stop = {Kind::kPowerOff}, .boots = kNeverUp},
             ExitCode::kOk,
             ""},
        Case{"PassWithALostCpu",
             {.stop = {Kind::kVerdict}, .boots = kLost},
             ExitCode::kCpuStuck,
             "cpus-lost"},
        Case{"PassWithASplat",
             {.stop = {Kind::kVerdict}, .splat = "WARNING: CPU: 1"},
             ExitCode::kVerdict,
             "guest-splat"},
        Case{"PassWithoutItsKexecs",
             {.stop = {Kind::kVerdict}, .expected_kexecs = 1},
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
        Case{"HostError",
             {.stop = {Kind::kHostError, "ioctl"}, .panic = "Kernel panic"},
             ExitCode::kHostCannot,
             "host-failed"},
        Case{"OutputLost",
             {.stop = {Kind::kPowerOff}, .lost_output = "cannot write"},
             ExitCode::kOutputLost,
             "output-lost"},
        Case{"OutputLostOfAGuestThatPassed",
             {.stop = {Kind::kVerdict}, .lost_output = "cannot write"},
             ExitCode::kOutputLost,
             "output-lost"},
        Case{"OutputLostOfAGuestThatFailed",
             {.stop = {Kind::kPowerOff},
              .boots = kLost,
              .lost_output = "cannot write"},
             ExitCode::kCpuStuck,
             "cpus-lost"},
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

// Everything that can go wrong with a guest at once. Taking away what is said
// first, one at a time, shows the order of the rules.
TEST(ConclusionOrderTest, WhatComesFirstIsSaidFirst) {
  const std::vector<Diagnosis> diagnoses = {
      {.fault = psci::ParkFault::kExitNotRam}};
  RunFacts facts = {.stop = {Kind::kVmmError, "ioctl"},
                    .panic = "Kernel panic",
                    .splat = "WARNING: CPU: 1",
                    .saw_kernel = true,
                    .in_kexec = true,
                    .boots = kLost,
                    .expected_kexecs = 7,
                    .diagnoses = diagnoses,
                    .strict = true};
  const auto id = [&facts](Kind kind) {
    facts.stop = {.kind = kind, .detail = "detail", .code = 1};
    return Conclude(facts).id;
  };
  EXPECT_EQ(id(Kind::kVmmError), "vmm-bug");
  EXPECT_EQ(id(Kind::kHostError), "host-failed");
  EXPECT_EQ(id(Kind::kInterrupt), "interrupted");
  for (const Kind kind : {Kind::kVerdict, Kind::kStuck, Kind::kTimeout,
                          Kind::kReset, Kind::kAllOff, Kind::kPowerOff}) {
    EXPECT_EQ(id(kind), "exit-not-ram");
  }
  facts.strict = false;
  for (const Kind kind : {Kind::kVerdict, Kind::kStuck, Kind::kTimeout,
                          Kind::kReset, Kind::kAllOff, Kind::kPowerOff}) {
    EXPECT_EQ(id(kind), "cpus-lost");
  }
  facts.boots = kGood;
  EXPECT_EQ(id(Kind::kVerdict), "guest-verdict");
  EXPECT_EQ(id(Kind::kStuck), "vcpu-stuck");
  for (const Kind kind :
       {Kind::kTimeout, Kind::kReset, Kind::kAllOff, Kind::kPowerOff}) {
    EXPECT_EQ(id(kind), "guest-panic");
  }
  facts.panic.clear();
  EXPECT_EQ(id(Kind::kTimeout), "kexec-timeout");
  EXPECT_EQ(id(Kind::kReset), "reset");
  EXPECT_EQ(id(Kind::kAllOff), "all-cpus-off");
  EXPECT_EQ(id(Kind::kPowerOff), "power-off-in-kexec");
  facts.in_kexec = false;
  EXPECT_EQ(id(Kind::kPowerOff), "guest-splat");
  facts.splat.clear();
  EXPECT_EQ(id(Kind::kPowerOff), "kexecs-missing");
  facts.expected_kexecs = 1;
  const Limit limits[] = {{.what = "total", .ns = 1}};
  facts.limits = limits;
  EXPECT_EQ(id(Kind::kPowerOff), "not-measured");
  Boot slow = facts.boots.back();
  slow.total = 2'000'000;
  facts.boots = {&slow, 1};
  EXPECT_EQ(id(Kind::kPowerOff), "too-slow");
  EXPECT_EQ(Conclude(facts).code, ExitCode::kVerdict);
  facts.limits = {};
  EXPECT_EQ(id(Kind::kPowerOff), "");
}

// What people read. Numbers differ, so that none can stand in another's place.
TEST(ConclusionSentenceTest, NamesWhatHappened) {
  const std::vector<Boot> lost = {{.came_up = CameUpBy::kMark},
                                  {.kexec = true, .came_up = CameUpBy::kMark},
                                  {.number = 2,
                                   .kexec = true,
                                   .announced = true,
                                   .cpus = 8,
                                   .cpus_back = 5,
                                   .came_up = CameUpBy::kMark}};
  const auto said = [](const RunFacts& facts) {
    return Conclude(facts).sentence;
  };
  const StopReason off = {.kind = Kind::kPowerOff};
  EXPECT_EQ(said({.stop = off, .splat = "BUG: x"}),
            "the guest's kernel complained: BUG: x");
  EXPECT_EQ(said({.stop = off, .boots = lost}),
            "kexec 2 brought back 5 of 8 CPUs");
  using Fate = LostCpu::Fate;
  std::vector<Boot> named = lost;
  named[2].lost = {
      {2, Fate::kNotCalled}, {3, Fate::kRefused, -4}, {5, Fate::kNeverStarted}};
  EXPECT_EQ(said({.stop = off, .boots = named}),
            "kexec 2 brought back 5 of 8 CPUs: nobody called CPU_ON for vCPU "
            "2; CPU_ON of vCPU 3 was answered ALREADY_ON; vCPU 5 was called "
            "and never started");
  named[2].lost = std::vector<LostCpu>(6, {7, Fate::kNotCalled});
  EXPECT_THAT(said({.stop = off, .boots = named}),
              testing::EndsWith("for vCPU 7; and 2 more"));
  const std::vector<Boot> first = {{.cpus = 4,
                                    .cpus_back = 3,
                                    .came_up = CameUpBy::kEnd,
                                    .lost = {{3, Fate::kNeverStarted}}}};
  EXPECT_EQ(said({.stop = off, .boots = first}),
            "the first boot brought up 3 of 4 CPUs: vCPU 3 was called and "
            "never started");
  EXPECT_EQ(said({.stop = off, .boots = first, .raw = true}), "");
  EXPECT_EQ(said({.stop = {.kind = Kind::kHalted}, .in_kexec = true}),
            "the guest halted in the middle of a kexec");
  EXPECT_EQ(said({.stop = off, .boots = kGood, .expected_kexecs = 3}),
            "3 kexecs were expected, 1 came up");
  EXPECT_EQ(said({.stop = {.kind = Kind::kVerdict, .code = 6, .value = 7}}),
            "the guest's verdict is FAIL (code 6, value 7)");
  EXPECT_EQ(said({.stop = off, .panic = "Kernel panic"}),
            "the guest panicked: Kernel panic");
  EXPECT_EQ(said({.stop = {.kind = Kind::kReset, .code = 6, .value = 7}}),
            "the guest called SYSTEM_RESET");
  EXPECT_EQ(said({.stop = {.kind = Kind::kReset,
                           .reset2 = true,
                           .code = 0x16,
                           .value = 0x17}}),
            "the guest called SYSTEM_RESET2, type 0x16, cookie 0x17");
  const std::vector<Diagnosis> diagnoses = {
      {.fault = psci::ParkFault::kExitNotRam}, {}};
  EXPECT_EQ(said({.stop = off, .diagnoses = diagnoses, .strict = true}),
            std::string("--strict: ") +
                std::string(psci::SentenceOf(psci::ParkFault::kExitNotRam)));
  for (const Kind kind :
       {Kind::kVmmError, Kind::kInterrupt, Kind::kStuck, Kind::kTimeout}) {
    EXPECT_EQ(
        said({.stop = {.kind = kind, .detail = "why"}, .saw_console = true}),
        "why");
  }
}

// Whether the guest ever came up is asked of its first boot.
TEST(ConclusionTimeoutTest, ABootThatCameUpIsNoBootTimeout) {
  std::vector<Boot> boots = {{.came_up = CameUpBy::kMark}, {.kexec = true}};
  RunFacts facts = {.stop = {.kind = Kind::kTimeout},
                    .saw_kernel = true,
                    .boots = boots,
                    .expected_kexecs = 2};
  EXPECT_EQ(Conclude(facts).id, "timeout");
  boots[0].came_up.reset();
  boots[1].came_up = CameUpBy::kMark;
  EXPECT_EQ(Conclude(facts).id, "boot-timeout");
}

// faults.md B10.
TEST(ConclusionResetTest, IsAGoodEndWhereItIsAskedFor) {
  RunFacts facts = {.stop = {.kind = Kind::kReset}, .reset_is_end = true};
  EXPECT_EQ(Conclude(facts).code, ExitCode::kOk);
  facts.in_kexec = true;
  EXPECT_EQ(Conclude(facts).id, "reset");
  facts.in_kexec = false;
  facts.expected_kexecs = 1;
  EXPECT_EQ(Conclude(facts).id, "kexecs-missing");
}

// faults.md A14: what is known of a guest of which nothing was heard.
TEST(ConclusionTimeoutTest, ASilentGuestIsExplainedAsFarAsIsKnown) {
  RunFacts facts = {
      .stop = {.kind = Kind::kTimeout, .detail = "waited"},
      .mistakes = {.unowned_accesses = 7, .first_unowned = 0x9001000},
      .page_size = 16384};
  EXPECT_EQ(Conclude(facts).sentence,
            "waited; its console stayed empty; it made 7 accesses to where "
            "nothing is, first at 0x9001000; its kernel needs 16 KiB pages, "
            "which this CPU may not have");
  facts.mistakes = {};
  facts.page_size = 4096;
  EXPECT_EQ(Conclude(facts).sentence, "waited; its console stayed empty");
}

// faults.md A12: what prints lives.
TEST(ConclusionTimeoutTest, WhatPrintsHasBooted) {
  RunFacts facts = {.stop = {.kind = Kind::kTimeout}};
  EXPECT_EQ(Conclude(facts).id, "boot-timeout");
  facts.saw_console = true;
  EXPECT_EQ(Conclude(facts).id, "timeout");
}

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
