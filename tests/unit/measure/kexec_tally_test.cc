// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tally.h"

#include <gtest/gtest.h>

namespace vmm {
namespace {

Boot Kexec(uint32_t number, uint32_t cpus, uint32_t back,
           std::optional<int64_t> down = std::nullopt) {
  return {.number = number,
          .kexec = true,
          .cpus = cpus,
          .cpus_back = back,
          .came_up = CameUpBy::kMark,
          .phases = {.down = down}};
}

std::string SummaryOf(const std::vector<Boot>& boots,
                      std::optional<uint32_t> expected = std::nullopt,
                      Times times = Times::kShown) {
  KexecTally tally;
  for (const Boot& boot : boots) tally.Add(boot);
  return tally.Summary(tally.came_up(), expected, times, "kvm");
}

TEST(KexecTallyTest, ARunWithoutKexecsHasNoSummary) {
  EXPECT_EQ(SummaryOf({}), "");
  EXPECT_EQ(SummaryOf({{.cpus = 4, .cpus_back = 4}}), "");
  EXPECT_EQ(SummaryOf({}, 0), "");
}

TEST(KexecTallyTest, KexecsThatWereExpectedAreMissed) {
  EXPECT_EQ(SummaryOf({}, 2), "parkvmm: 0 of 2 kexecs");
  EXPECT_EQ(SummaryOf({Kexec(1, 8, 8)}, 2),
            "parkvmm: 1 of 2 kexecs, 8 of 8 CPUs back");
  EXPECT_EQ(SummaryOf({Kexec(1, 8, 8), Kexec(2, 8, 8)}, 1),
            "parkvmm: 2 of 2 kexecs, 8 of 8 CPUs back each time");
}

TEST(KexecTallyTest, AKexecThatDidNotComeUpIsOneThatBegan) {
  KexecTally tally;
  EXPECT_EQ(tally.Summary(1, std::nullopt, Times::kShown, "kvm"),
            "parkvmm: 0 of 1 kexec");
}

TEST(KexecTallyTest, DownIsAMedianWithItsSpread) {
  EXPECT_EQ(SummaryOf({Kexec(1, 8, 8, 1'500'000)}),
            "parkvmm: 1 of 1 kexec, 8 of 8 CPUs back; down 1.500 ms, kvm");
  const std::vector<Boot> three = {Kexec(1, 8, 8, 121'000'000),
                                   Kexec(2, 8, 8, 113'200'000),
                                   Kexec(3, 8, 8, 115'800'000)};
  EXPECT_EQ(SummaryOf(three),
            "parkvmm: 3 of 3 kexecs, 8 of 8 CPUs back each time; down median "
            "115.80 ms (113.20 to 121.00), kvm");
  EXPECT_EQ(SummaryOf(three, std::nullopt, Times::kHidden),
            "parkvmm: 3 of 3 kexecs, 8 of 8 CPUs back each time");
  EXPECT_EQ(SummaryOf({three[0], three[1], Kexec(3, 8, 8)}),
            "parkvmm: 3 of 3 kexecs, 8 of 8 CPUs back each time; down median "
            "117.10 ms (113.20 to 121.00), kvm");
}

TEST(KexecTallyTest, TheKexecThatLostTheMostIsNamed) {
  EXPECT_EQ(SummaryOf({Kexec(1, 8, 8), Kexec(2, 8, 7), Kexec(3, 8, 5),
                       Kexec(4, 8, 7)}),
            "parkvmm: 4 of 4 kexecs, kexec 3 brought back 5 of 8 CPUs");
}

TEST(KexecTallyTest, CpusMayBecomeFewerAndMore) {
  EXPECT_EQ(SummaryOf({Kexec(1, 8, 8), Kexec(2, 8, 9)}),
            "parkvmm: 2 of 2 kexecs, all CPUs back each time");
}

TEST(KexecTallyTest, ACrashKernelTakesTheCpusItWants) {
  Boot crash = Kexec(1, 8, 1);
  crash.crash = true;
  EXPECT_EQ(SummaryOf({crash}), "parkvmm: 1 of 1 kexec");
  EXPECT_EQ(SummaryOf({crash, Kexec(2, 1, 1)}),
            "parkvmm: 2 of 2 kexecs, 1 of 1 CPUs back");
}

}  // namespace
}  // namespace vmm
