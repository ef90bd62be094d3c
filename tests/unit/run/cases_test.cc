// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/cases.h"

#include <gtest/gtest.h>

#include <utility>

namespace vmm {
namespace {

using Outcome = Case::Outcome;

Boot Up(uint32_t number, uint32_t back = 4) {
  return {.number = number,
          .kexec = number > 0,
          .cpus = 4,
          .cpus_back = back,
          .came_up = CameUpBy::kMark,
          .total = 1000 + number};
}

Boot Unfinished(uint32_t number) {
  return {.number = number, .kexec = number > 0, .cpus = 4};
}

const std::vector<Limit> kLimits = {{.what = "total", .ns = 9000}};

Conclusion Concluded(ExitCode code, const std::string& id) {
  return {.code = code, .id = id, .sentence = "what " + id + " means"};
}

std::vector<Case> Of(const SessionResult& result,
                     std::optional<uint32_t> expected = std::nullopt) {
  return CasesOf(result, /*raw=*/false, expected, kLimits);
}

// "boot passed, kexec 1 failed cpus-lost, end passed".
std::string Told(const std::vector<Case>& cases) {
  static constexpr const char* kWords[] = {"passed", "failed", "timed out",
                                           "broken", "skipped"};
  std::string told;
  for (const Case& one : cases) {
    told += (told.empty() ? "" : ", ") + one.name + " " +
            kWords[static_cast<int>(one.outcome)] +
            (one.id.empty() ? "" : " " + one.id);
  }
  return told;
}

TEST(CasesTest, EachBootIsOneAndSoIsTheEnd) {
  const std::vector<Case> cases = Of({.boots = {Up(0), Up(1), Up(2)}});
  EXPECT_EQ(Told(cases),
            "boot passed, kexec 1 passed, kexec 2 passed, end "
            "passed");
  EXPECT_EQ(cases[1].ns, 1001);
  EXPECT_EQ(cases[3].ns, std::nullopt);
  EXPECT_EQ(Told(Of({})), "end passed");
}

TEST(CasesTest, AKexecThatLostCpusFails) {
  const SessionResult result = {
      .conclusion = Concluded(ExitCode::kCpuStuck, "cpus-lost"),
      .boots = {Up(0), Up(1), Up(2, 3), Up(3)},
      .post_mortem = {"vCPU 3 (MPIDR 0x3): off"}};
  const std::vector<Case> cases = Of(result);
  EXPECT_EQ(Told(cases),
            "boot passed, kexec 1 passed, kexec 2 failed cpus-lost, kexec 3 "
            "passed, end passed");
  EXPECT_EQ(cases[2].message, "kexec 2 brought back 3 of 4 CPUs");
  EXPECT_EQ(cases[2].details, result.post_mortem);
}

TEST(CasesTest, AKexecThatTookTooLongFails) {
  Boot slow = Up(2);
  slow.total = 9001;
  EXPECT_EQ(Told(Of({.conclusion = Concluded(ExitCode::kVerdict, "too-slow"),
                     .boots = {Up(0), Up(1), slow}})),
            "boot passed, kexec 1 passed, kexec 2 failed too-slow, end passed");
}

TEST(CasesTest, WhatIsWorseThanALostCpuIsToldBesideIt) {
  EXPECT_EQ(Told(Of({.conclusion = Concluded(ExitCode::kVmmBug, "vmm-bug"),
                     .boots = {Up(0), Up(1, 3)}})),
            "boot passed, kexec 1 failed cpus-lost, end broken vmm-bug");
}

TEST(CasesTest, AKexecThatDidNotComeUpHasTheConclusion) {
  const SessionResult result = {
      .conclusion = Concluded(ExitCode::kBootTimeout, "kexec-timeout"),
      .boots = {Up(0), Unfinished(1)},
      .post_mortem = {"last lines"}};
  const std::vector<Case> cases = Of(result, 3);
  EXPECT_EQ(Told(cases),
            "boot passed, kexec 1 timed out kexec-timeout, kexec 2 skipped "
            "not-begun, kexec 3 skipped not-begun, end passed");
  EXPECT_EQ(cases[1].message, "what kexec-timeout means");
  EXPECT_EQ(cases[1].details, result.post_mortem);
}

TEST(CasesTest, WhatIsNoKexecsIsTheEnds) {
  const std::pair<Conclusion, const char*> cases[] = {
      {Concluded(ExitCode::kVerdict, "guest-splat"), "failed"},
      {Concluded(ExitCode::kGuestPanic, "guest-panic"), "failed"},
      {Concluded(ExitCode::kUnexpectedReset, "reset"), "failed"},
      {Concluded(ExitCode::kTimeout, "timeout"), "timed out"},
      {Concluded(ExitCode::kBootTimeout, "boot-timeout"), "timed out"},
      {Concluded(ExitCode::kHostCannot, "host-failed"), "broken"},
      {Concluded(ExitCode::kOutputLost, "output-lost"), "broken"},
      {Concluded(ExitCode::kInterrupted, "interrupted"), "broken"},
      // A command's status may be the number of one of ours.
      {Concluded(ExitCode{69}, "command-failed"), "failed"},
      {Concluded(ExitCode{5}, "command-failed"), "failed"},
  };
  for (const auto& [conclusion, outcome] : cases) {
    const std::vector<Case> found =
        Of({.conclusion = conclusion, .boots = {Up(0)}, .post_mortem = {"x"}});
    EXPECT_EQ(Told(found),
              "boot passed, end " + std::string(outcome) + " " + conclusion.id);
    EXPECT_EQ(found.back().message, conclusion.sentence);
    EXPECT_EQ(found.back().details.size(), 1u);
  }
}

TEST(CasesTest, ABootThatTookTooLongIsBlamedForIt) {
  const Conclusion late = Concluded(ExitCode::kBootTimeout, "boot-timeout");
  EXPECT_EQ(Told(Of({.conclusion = late, .boots = {Unfinished(0)}})),
            "boot timed out boot-timeout, end passed");
  // Its command did not start.
  EXPECT_EQ(Told(Of({.conclusion = late, .boots = {Up(0)}})),
            "boot passed, end timed out boot-timeout");
  // It may never say that it came up.
  EXPECT_EQ(
      Told(Of({.conclusion = Concluded(ExitCode::kVerdict, "guest-verdict"),
               .boots = {Unfinished(0)}})),
      "boot passed, end failed guest-verdict");
}

TEST(CasesTest, AKexecOfWhichNobodyKnowsHasNotPassed) {
  EXPECT_EQ(Told(Of({.boots = {Up(0), Unfinished(1)}})),
            "boot passed, kexec 1 skipped incomplete, end passed");
}

TEST(CasesTest, KexecsThatAreNotRecordedAreNotMissing) {
  EXPECT_EQ(Told(Of({.boots = {Up(0), Up(1)}, .other_kexecs = 2}, 4)),
            "boot passed, kexec 1 passed, kexec 4 skipped not-begun, end "
            "passed");
}

TEST(CasesTest, EachMachineOfARunCountsAnew) {
  EXPECT_EQ(Told(Of({.boots = {Up(0), Up(1), Up(0), Up(1)}})),
            "boot passed, kexec 1 passed, machine 2, boot passed, machine 2, "
            "kexec 1 passed, end passed");
}

TEST(CasesTest, ThatNumberIsTheUsersSoItIsBounded) {
  EXPECT_EQ(Of({.boots = {Up(0)}}, 4'000'000'000).size(), kMaxMissingCases + 2);
}

TEST(CasesTest, ALineOfAGuestIsPrintable) {
  const std::vector<Case> cases =
      Of({.conclusion = {ExitCode::kGuestPanic, "guest-panic", "a\x1b[2Jb"}});
  EXPECT_EQ(cases.back().message, "a\\x1b[2Jb");
}

TEST(CasesTest, ARunThatCouldNotBeginHasOne) {
  const Case skipped = NotRun("no KVM", true);
  EXPECT_EQ(skipped.outcome, Outcome::kSkipped);
  EXPECT_EQ(skipped.message, "no KVM");
  const Case broken = NotRun("no memory", false);
  EXPECT_EQ(broken.outcome, Outcome::kBroken);
  EXPECT_EQ(broken.id, "not-run");
}

}  // namespace
}  // namespace vmm
