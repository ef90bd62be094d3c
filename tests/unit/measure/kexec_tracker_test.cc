// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tracker.h"

#include <gtest/gtest.h>

#include "psci-emul/psci_abi.h"
#include "tests/unit/measure/story.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/measure/report.h"

namespace vmm {
namespace {

using Kind = Event::Kind;

TEST(KexecTrackerTest, TheFirstBootIsNoKexec) {
  Story story(3);
  story.Other(5, 0, Kind::kStart);
  story.Boot(10, 3);
  ASSERT_EQ(story.tracker.boots().size(), 1u);
  const Boot& boot = story.tracker.boots()[0];
  EXPECT_FALSE(boot.kexec);
  EXPECT_TRUE(boot.complete);
  EXPECT_EQ(boot.cpus_back, 3u);
  EXPECT_EQ(boot.total, 105);
  EXPECT_EQ(boot.phases.prepare, std::nullopt);
  EXPECT_EQ(boot.phases.early, 10);
  EXPECT_EQ(boot.phases.up, 11);
  EXPECT_EQ(boot.phases.userspace, 79);
}

TEST(KexecTrackerTest, PhasesOfAKexecFollowEachOtherWithoutAGap) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  EXPECT_TRUE(story.tracker.InKexec());
  story.TurnOff(1100, 1);
  story.Psci(1105, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  story.TurnOff(1300, 2);
  story.Psci(1310, 0, PSCI_AFFINITY_INFO_64, 2, PSCI_AFFINITY_OFF);
  story.Boot(1500, 3);
  EXPECT_FALSE(story.tracker.InKexec());

  ASSERT_EQ(story.tracker.boots().size(), 2u);
  const Boot& kexec = story.tracker.boots()[1];
  EXPECT_TRUE(kexec.kexec);
  EXPECT_EQ(Verdict(kexec), "pass");
  EXPECT_EQ(kexec.phases.prepare, 100);
  EXPECT_EQ(kexec.phases.down, 201);
  EXPECT_EQ(kexec.phases.jump, 199);
  EXPECT_EQ(kexec.phases.early, 10);
  EXPECT_EQ(kexec.phases.up, 11);
  EXPECT_EQ(kexec.phases.userspace, 79);
  EXPECT_EQ(kexec.total, 600);
  EXPECT_EQ(*kexec.phases.prepare + *kexec.phases.down + *kexec.phases.jump +
                *kexec.phases.early + *kexec.phases.up +
                *kexec.phases.userspace,
            *kexec.total);
}

TEST(KexecTrackerTest, EachCpusTimeIsGivenToWhoHadIt) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOff(1100, 1);
  story.Psci(1105, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  story.TurnOff(1300, 2);
  story.Psci(1310, 0, PSCI_AFFINITY_INFO_64, 2, PSCI_AFFINITY_OFF);
  story.Boot(1500, 3);
  const auto& cpus = story.tracker.boots()[1].per_cpu;
  ASSERT_EQ(cpus.size(), 2u);
  EXPECT_EQ(cpus[0].vcpu, 1u);
  EXPECT_EQ(cpus[0].kernel_before_off, 100);
  EXPECT_EQ(cpus[0].vmm_off, 1);
  EXPECT_EQ(cpus[0].guest_poll, 4);
  EXPECT_EQ(cpus[0].vmm_on, 1);
  EXPECT_EQ(cpus[0].kernel_after_on, 9);
  EXPECT_EQ(cpus[1].kernel_before_off, 200);
  EXPECT_EQ(cpus[1].kernel_after_on, std::nullopt);  // That is userspace.
}

TEST(KexecTrackerTest, WhatModelledFirmwareTookIsNotOurs) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.Psci(1100, 1, PSCI_CPU_OFF);
  story.tracker.Add(
      {.ns = 1130, .vcpu = 1, .kind = Kind::kOff, .firmware_ns = 20});
  story.Psci(1135, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  story.Psci(1500, 0, PSCI_VERSION);
  story.Psci(1600, 0, PSCI_CPU_ON_64, 1);
  story.tracker.Add(
      {.ns = 1650, .vcpu = 1, .kind = Kind::kStart, .firmware_ns = 43});
  story.Mark(1700, MARK_CODE_UP, 2);
  const Boot& kexec = story.tracker.boots()[1];
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  const CpuTimes& cpu = kexec.per_cpu[0];
  EXPECT_EQ(cpu.vmm_off, 10);
  EXPECT_EQ(cpu.firmware_off, 20);
  EXPECT_EQ(cpu.guest_poll, 5);
  EXPECT_EQ(cpu.vmm_on, 7);
  EXPECT_EQ(cpu.firmware_on, 43);
  EXPECT_EQ(*cpu.vmm_off + *cpu.firmware_off, *kexec.phases.down);
  EXPECT_EQ(*cpu.vmm_on + *cpu.firmware_on, *kexec.phases.up);
}

TEST(KexecTrackerTest, ALostCpuIsAVerdict) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOff(1100, 1);
  story.TurnOff(1200, 2);
  story.Boot(1500, 2);
  EXPECT_EQ(Verdict(story.tracker.boots()[1]), "cpus-lost");
}

// What user space read counts, not what the VMM saw start.
TEST(KexecTrackerTest, CpusBackIsWhatTheGuestRead) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.TurnOff(1100, 1);
  story.Psci(1500, 0, PSCI_VERSION);
  story.TurnOn(1510, 1);
  story.Mark(1600, MARK_CODE_UP, 1);
  EXPECT_EQ(Verdict(story.tracker.boots()[1]), "cpus-lost");
}

TEST(KexecTrackerTest, OneCpuHasNobodyToWaitFor) {
  Story story(1);
  story.Boot(0, 1);
  story.Mark(1000, MARK_CODE_KEXEC, 1);
  story.Boot(1500, 1);
  const Boot& kexec = story.tracker.boots()[1];
  EXPECT_EQ(kexec.phases.prepare, 500);
  EXPECT_EQ(kexec.phases.down, 0);
  EXPECT_EQ(kexec.phases.jump, 0);
  EXPECT_EQ(kexec.phases.early, 100);
  EXPECT_EQ(kexec.phases.up, 0);
  EXPECT_EQ(kexec.phases.userspace, 0);
}

TEST(KexecTrackerTest, WithoutPsciOnlyTheMarksAreKnown) {
  Story story(4);
  story.Mark(100, MARK_CODE_UP, 4);
  story.Mark(1000, MARK_CODE_KEXEC, 4);
  story.Mark(1600, MARK_CODE_UP, 4);
  const Boot& kexec = story.tracker.boots()[1];
  EXPECT_EQ(kexec.total, 600);
  EXPECT_EQ(kexec.phases.prepare, std::nullopt);
  EXPECT_EQ(kexec.phases.down, std::nullopt);
  EXPECT_EQ(kexec.phases.up, std::nullopt);
  EXPECT_EQ(Verdict(kexec), "pass");
}

// As psci_checker does, which runs before there is a user space.
TEST(KexecTrackerTest, WhatTheNextKernelTakesDownIsNotTheKexecs) {
  for (const bool others_left : {true, false}) {
    Story story(2);
    story.Boot(0, 2);
    story.Mark(1000, MARK_CODE_KEXEC, 2);
    if (others_left) story.TurnOff(1100, 1);
    story.Psci(1500, 0, PSCI_VERSION);
    story.TurnOn(1510, 1);
    story.TurnOff(1520, 1);
    story.TurnOn(1530, 1);
    story.Mark(1600, MARK_CODE_UP, 2);
    const Phases& phases = story.tracker.boots()[1].phases;
    EXPECT_EQ(phases.prepare, others_left ? 100 : 500);
    EXPECT_EQ(phases.down, others_left ? 1 : 0);
    EXPECT_EQ(phases.jump, others_left ? 399 : 0);
    EXPECT_EQ(phases.early, 10);
    EXPECT_EQ(phases.up, 1);
    EXPECT_EQ(phases.userspace, 89);
    const Doors once = {.cpu_off = others_left ? 1u : 0u, .cpu_on = 1};
    EXPECT_EQ(story.tracker.boots()[1].doors, once);
  }
}

TEST(KexecTrackerTest, WithoutMarksAKexecIsSeenByPsciAlone) {
  Story story(3);
  story.Psci(0, 0, PSCI_VERSION);
  story.TurnOn(10, 1);
  story.TurnOn(20, 2);
  for (int64_t start : {1000, 2000}) {
    story.TurnOff(start, 1);
    story.TurnOff(start + 100, 2);
    story.Psci(start + 200, 0, PSCI_VERSION);
    story.TurnOn(start + 210, 1);
    story.TurnOn(start + 220, 2);
  }
  ASSERT_EQ(story.tracker.boots().size(), 3u);
  EXPECT_EQ(story.tracker.boots()[2].cpus, 3u);
  EXPECT_EQ(story.tracker.boots()[2].cpus_back, 3u);
}

// Any program may ask for the version twice: that accuses nobody of a kexec.
TEST(KexecTrackerTest, AKexecWithoutMarksIsNothingToWaitFor) {
  Story story(2);
  story.Psci(0, 0, PSCI_VERSION);
  story.TurnOn(10, 1);
  story.TurnOff(20, 1);
  story.Psci(30, 0, PSCI_VERSION);
  EXPECT_FALSE(story.tracker.InKexec());
}

TEST(KexecTrackerTest, AFailedKexecCallIsNotCountedTwice) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.Mark(1100, MARK_CODE_KEXEC, 2);
  story.TurnOff(1200, 1);
  story.Boot(1500, 2);
  ASSERT_EQ(story.tracker.boots().size(), 2u);
  EXPECT_EQ(story.tracker.boots()[1].total, 500);
}

TEST(KexecTrackerTest, AGuestThatMarksWithoutEndIsBounded) {
  Story story(1);
  for (int64_t i = 0; i < 3 * int64_t{KexecTracker::kMaxBoots}; ++i) {
    story.Mark(2 * i, MARK_CODE_KEXEC, 1);
    story.Mark(2 * i + 1, MARK_CODE_UP, 1);
  }
  EXPECT_LE(story.tracker.boots().size(), KexecTracker::kMaxBoots);
}

TEST(KexecTrackerTest, StrangeTargetsAndCodesAreIgnored) {
  Story story(2);
  story.Psci(0, 0, PSCI_CPU_ON_64, 0xdead);
  story.Psci(1, 0, PSCI_AFFINITY_INFO_64, 0xdead, PSCI_AFFINITY_OFF);
  story.Mark(2, 0xffff, 0xffffffffffff);
  EXPECT_EQ(story.tracker.boots().size(), 1u);
}

// Who parks in a page or slot leaves by another door than CPU_OFF, and is away
// all the same.
TEST(KexecTrackerTest, ParkingAndReleasingCountAsLeavingAndStarting) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  for (uint32_t cpu = 1; cpu < 3; ++cpu) {
    story.Other(1000 + cpu * 100, cpu, Kind::kParkStore);
    story.Other(1005 + cpu * 100, cpu, Kind::kOff);
  }
  story.Psci(2000, 0, PSCI_VERSION);
  for (uint32_t cpu = 1; cpu < 3; ++cpu) {
    story.tracker.Add({.ns = 2000 + cpu * 100,
                       .kind = Kind::kReleaseStore,
                       .args = {cpu, 0x40080000, 0}});
    story.Other(2007 + cpu * 100, cpu, Kind::kStart);
  }
  EXPECT_TRUE(story.Mark(3000, MARK_CODE_UP, 3));
  const Boot& boot = story.tracker.boots().back();
  EXPECT_EQ(boot.doors, (Doors{.park = 2, .release = 2}));
  EXPECT_EQ(boot.phases.prepare, 100);
  EXPECT_EQ(boot.phases.down, 105);
  EXPECT_EQ(boot.phases.up, 107);
  ASSERT_EQ(boot.per_cpu.size(), 2u);
  EXPECT_EQ(boot.per_cpu[0].vmm_off, 5);
  EXPECT_EQ(boot.per_cpu[0].vmm_on, 7);
}

// Boots 2 CPUs and announces a kexec at 1000, which CPU 1 leaves for at 1100.
Story Leaving() {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.TurnOff(1100, 1);
  return story;
}

// Boots the next kernel, and returns the kexec.
Boot Arriving(Story& story) {
  story.Psci(1500, 0, PSCI_VERSION);
  story.TurnOn(1600, 1);
  story.Mark(1700, MARK_CODE_UP, 2);
  return story.tracker.boots().back();
}

TEST(KexecTrackerTest, MomentsCountFromTheKexecMark) {
  Story story = Leaving();
  story.Psci(1120, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  const Boot kexec = Arriving(story);
  EXPECT_EQ(kexec.begin, 1000);
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  EXPECT_EQ(kexec.per_cpu[0].at, (CpuMoments{100, 101, 120, 600, 601}));
}

TEST(KexecTrackerTest, ARefusedCpuOnStartsNothing) {
  for (const uint32_t target : {0u, 1u}) {
    Story story = Leaving();
    story.Psci(1500, 0, PSCI_VERSION);
    story.Psci(1550, 0, PSCI_CPU_ON_64, target, PSCI_RET_ALREADY_ON);
    story.TurnOn(1600, 1);
    story.Mark(1700, MARK_CODE_UP, 2);
    const Boot& kexec = story.tracker.boots().back();
    EXPECT_EQ(kexec.phases.early, 100);
    EXPECT_EQ(kexec.phases.up, 1);
    ASSERT_EQ(kexec.per_cpu.size(), 1u);
    EXPECT_EQ(kexec.per_cpu[0].at.called, 600);
  }
}

TEST(KexecTrackerTest, AnAnswerOfOnIsNotOff) {
  Story story = Leaving();
  story.Psci(1110, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_ON);
  story.Psci(1115, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_ON_PENDING);
  story.Psci(1120, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  story.Psci(1130, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  const Boot kexec = Arriving(story);
  EXPECT_EQ(kexec.per_cpu[0].at.known, 120);
  EXPECT_EQ(kexec.per_cpu[0].guest_poll, 19);
}

TEST(KexecTrackerTest, WhoWasNeverAskedForIsNotKnownToBeOff) {
  Story story = Leaving();
  const Boot kexec = Arriving(story);
  EXPECT_EQ(kexec.per_cpu[0].at.known, std::nullopt);
  EXPECT_EQ(kexec.per_cpu[0].guest_poll, std::nullopt);
}

// The call is stamped at its exit, and OFF when it is visible.
TEST(KexecTrackerTest, ACallUnderWayWhileACpuGoesOffWaitsForNothing) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.Psci(1100, 1, PSCI_CPU_OFF);
  story.Psci(1104, 0, PSCI_AFFINITY_INFO_64, 1, PSCI_AFFINITY_OFF);
  story.Other(1105, 1, Kind::kOff);
  const Boot kexec = Arriving(story);
  EXPECT_EQ(kexec.per_cpu[0].at.known, 105);
  EXPECT_EQ(kexec.per_cpu[0].guest_poll, 0);
}

// The old kernel may turn a CPU on again before it kexecs.
TEST(KexecTrackerTest, WhoTheOldKernelTurnsOnAgainHasNotLeft) {
  Story story = Leaving();
  story.TurnOn(1200, 1);
  story.TurnOff(1300, 1);
  const Boot kexec = Arriving(story);
  EXPECT_EQ(kexec.phases.prepare, 300);
  EXPECT_EQ(kexec.phases.down, 1);
  EXPECT_EQ(kexec.phases.early, 100);
  EXPECT_EQ(kexec.doors, (Doors{.cpu_off = 1, .cpu_on = 1}));

  Story stayed = Leaving();
  stayed.TurnOn(1200, 1);
  stayed.Psci(1500, 0, PSCI_VERSION);
  stayed.Mark(1700, MARK_CODE_UP, 1);
  EXPECT_EQ(stayed.tracker.boots().back().doors, Doors{});
  EXPECT_EQ(stayed.tracker.boots().back().phases.prepare, 500);
}

TEST(KexecTrackerTest, WhoIsStillOnItsWayOffEndsDownAtTheNewKernel) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.Psci(1100, 1, PSCI_CPU_OFF);
  story.Psci(1500, 0, PSCI_VERSION);
  story.Other(1550, 1, Kind::kOff);
  story.TurnOn(1600, 1);
  story.Mark(1700, MARK_CODE_UP, 2);
  const Boot& kexec = story.tracker.boots().back();
  EXPECT_EQ(kexec.phases.down, 400);
  EXPECT_EQ(kexec.phases.jump, 0);
  EXPECT_EQ(kexec.phases.early, 100);
  EXPECT_EQ(kexec.shares.early, (Shares{.vmm = 50, .kernel = 50}));
}

TEST(KexecTrackerTest, ACpuThatIsCalledAndNeverStartsIsNotBack) {
  Story story(3);
  story.Psci(0, 0, PSCI_VERSION);
  story.Psci(10, 0, PSCI_CPU_ON_64, 1);
  story.TurnOn(20, 2);
  EXPECT_EQ(story.tracker.boots()[0].cpus_back, 2u);
  story.Other(40, 1, Kind::kStart);
  EXPECT_EQ(story.tracker.boots()[0].cpus_back, 3u);
}

// A payload may ask for the version when it likes.
TEST(KexecTrackerTest, WhatComesOutOfOrderIsNoPhase) {
  Story story(2);
  story.Other(0, 0, Kind::kStart);
  story.TurnOn(10, 1);
  story.Psci(50, 0, PSCI_VERSION);
  story.Mark(100, MARK_CODE_UP, 2);
  const Boot& boot = story.tracker.boots()[0];
  EXPECT_EQ(boot.phases, (Phases{.up = 1, .userspace = 89}));
  EXPECT_EQ(boot.shares.early, std::nullopt);
  EXPECT_EQ(boot.cpus_back, 2u);
}

// What left for the first kexec leaves once.
TEST(KexecTrackerTest, AKexecWithoutMarksHasItsOwnLeaves) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOff(1100, 1);
  story.TurnOff(1200, 2);
  story.Psci(1500, 0, PSCI_VERSION);
  story.TurnOn(1510, 1);  // CPU 2 stays away.
  story.Mark(1600, MARK_CODE_UP, 2);
  story.TurnOff(2100, 1);
  story.Psci(2500, 0, PSCI_VERSION);
  story.TurnOn(2600, 1);
  story.Mark(2700, MARK_CODE_UP, 2);
  ASSERT_EQ(story.tracker.boots().size(), 3u);
  const Boot& kexec = story.tracker.boots()[2];
  EXPECT_FALSE(kexec.announced);
  EXPECT_EQ(kexec.cpus, 2u);
  EXPECT_EQ(kexec.begin, 2100);
  EXPECT_EQ(kexec.total, std::nullopt);
  EXPECT_EQ(
      kexec.phases,
      (Phases{.down = 1, .jump = 399, .early = 100, .up = 1, .userspace = 99}));
  EXPECT_EQ(kexec.doors, (Doors{.cpu_off = 1, .cpu_on = 1}));
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  EXPECT_EQ(kexec.per_cpu[0].kernel_before_off, std::nullopt);
}

}  // namespace
}  // namespace vmm
