// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tracker.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "psci-emul/psci_abi.h"
#include "tests/unit/measure/story.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/measure/report.h"

namespace vmm {
namespace {

using Kind = Event::Kind;

// Boots 2 CPUs and announces a kexec at 1000, which CPU 1 leaves for at 1100.
Story Leaving() {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.TurnOff(1100, 1);
  return story;
}

TEST(KexecTrackerTest, TheFirstBootIsNoKexec) {
  Story story(3);
  story.Other(5, 0, Kind::kStart);
  story.Boot(10, 3);
  EXPECT_EQ(story.tracker.boots()[0].teardown, std::nullopt);
  ASSERT_EQ(story.tracker.boots().size(), 1u);
  const Boot& boot = story.tracker.boots()[0];
  EXPECT_FALSE(boot.kexec);
  EXPECT_TRUE(boot.came_up);
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
  EXPECT_EQ(kexec.teardown, 301);
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
  EXPECT_EQ(*cpu.kernel_before_off + *cpu.vmm_off + *cpu.firmware_off,
            *kexec.phases.down);
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

// faults.md A4: nobody leaves and nobody comes, so nothing lies in between.
TEST(KexecTrackerTest, WithOneCpuOnlyTheWholeIsSeen) {
  Story story(1);
  story.Boot(0, 1);
  story.Mark(1000, MARK_CODE_KEXEC, 1);
  story.Boot(1500, 1);
  const Boot& kexec = story.tracker.boots()[1];
  EXPECT_EQ(kexec.phases, Phases{});
  EXPECT_EQ(kexec.teardown, std::nullopt);
  EXPECT_EQ(kexec.total, 600);
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
    EXPECT_EQ(phases.down, others_left ? std::optional(101) : std::nullopt);
    EXPECT_EQ(phases.jump, others_left ? std::optional(399) : std::nullopt);
    EXPECT_EQ(phases.early, 10);
    EXPECT_EQ(phases.up, 1);
    EXPECT_EQ(phases.userspace, 89);
    const Doors once = {.cpu_off = others_left ? 1u : 0u, .cpu_on = 1};
    EXPECT_EQ(story.tracker.boots()[1].doors, once);
  }
}

// faults.md A1, A2.
TEST(KexecTrackerTest, WithoutMarksAKexecIsSeenByPsciAlone) {
  Story story(3);
  story.Probe(0);
  story.TurnOn(10, 1);
  story.TurnOn(20, 2);
  for (int64_t start : {1000, 2000}) {
    story.TurnOff(start, 1);
    story.TurnOff(start + 100, 2);
    EXPECT_TRUE(story.Probe(start + 200)) << "the boot before came up";
    EXPECT_TRUE(story.tracker.InKexec());
    story.TurnOn(start + 210, 1);
    story.TurnOn(start + 220, 2);
  }
  EXPECT_EQ(story.tracker.End(true), 2u);
  EXPECT_FALSE(story.tracker.InKexec());
  const std::vector<Boot>& boots = story.tracker.boots();
  ASSERT_EQ(boots.size(), 3u);
  EXPECT_EQ(boots[0].came_up, CameUpBy::kNextKexec);
  EXPECT_EQ(boots[1].came_up, CameUpBy::kNextKexec);
  EXPECT_EQ(boots[2].came_up, CameUpBy::kEnd);
  for (const size_t kexec : {1u, 2u}) {
    EXPECT_EQ(boots[kexec].cpus, 3u);
    EXPECT_EQ(Verdict(boots[kexec]), "pass");
    EXPECT_EQ(boots[kexec].phases,
              (Phases{.down = 101, .jump = 99, .early = 10, .up = 11}));
    EXPECT_EQ(boots[kexec].total, std::nullopt);
    EXPECT_EQ(boots[kexec].teardown, std::nullopt);
  }
}

TEST(KexecTrackerTest, ANewKernelIsKnownThoughNobodyLeft) {
  Story story(2);
  story.Probe(0);
  EXPECT_TRUE(story.Probe(1000));
  ASSERT_EQ(story.tracker.boots().size(), 2u);
  EXPECT_EQ(story.tracker.boots()[1].cpus, 1u);
  EXPECT_EQ(story.tracker.End(true), 1u);
  EXPECT_EQ(story.tracker.boots()[1].phases, Phases{});
}

// From CPU 1, with CPU 0 off for long.
TEST(KexecTrackerTest, ANewKernelMayBeginOnAnyCpu) {
  Story story(3);
  story.Probe(0);
  story.TurnOn(10, 1);
  story.TurnOn(20, 2);
  story.TurnOff(1000, 0);
  const int64_t later = 1000 + KexecTracker::kApartNs + 1;
  story.TurnOff(later, 2);
  story.Probe(later + 100, 1);
  story.TurnOn(later + 200, 0);
  story.TurnOn(later + 210, 2);
  story.tracker.End(true);
  ASSERT_EQ(story.tracker.boots().size(), 2u);
  const Boot& kexec = story.tracker.boots()[1];
  EXPECT_EQ(kexec.cpus, 2u) << "CPU 0 had left on its own";
  EXPECT_EQ(kexec.cpus_back, 3u);
  EXPECT_EQ(kexec.phases, (Phases{.jump = 99, .early = 100, .up = 11}));
}

// What asks twice is no new kernel, unless it asks as Linux does.
TEST(KexecTrackerTest, AProgramMayAskWhatItLikes) {
  const auto boots = [](auto ask) {
    Story story(2);
    story.Probe(0);
    story.TurnOn(10, 1);
    story.TurnOff(20, 1);
    ask(story);
    return story.tracker.boots().size();
  };
  EXPECT_EQ(boots([](Story& story) {
              for (int i = 0; i < 9; ++i) story.Psci(30 + i, 0, PSCI_VERSION);
            }),
            1u);
  EXPECT_EQ(boots([](Story& story) {
              story.Psci(30, 0, PSCI_VERSION);
              story.Psci(31, 0, PSCI_FEATURES, PSCI_CPU_OFF);
              story.Psci(32, 0, PSCI_MIGRATE_INFO_TYPE);
            }),
            1u);
  EXPECT_EQ(boots([](Story& story) {
              story.Psci(30, 0, PSCI_VERSION);
              story.Psci(31, 1, PSCI_MIGRATE_INFO_TYPE);
            }),
            1u)
      << "two CPUs";
  EXPECT_EQ(boots([](Story& story) { story.Probe(30); }), 2u);
}

// Boots two CPUs without marks, and a kexec whose CPU 1 does `arrive`.
Story Unmarked(const std::function<void(Story& story)>& arrive) {
  Story story(2);
  story.Probe(0);
  story.TurnOn(10, 1);
  story.TurnOff(1000, 1);
  story.Probe(1500);
  arrive(story);
  return story;
}

TEST(KexecTrackerTest, AQuietGuestWithoutMarksHasComeUp) {
  Story story = Unmarked([](Story& s) { s.TurnOn(1600, 1); });
  const int64_t at = 1601 + KexecTracker::kSettleNs;
  EXPECT_EQ(story.tracker.SettlesAt(), at);
  EXPECT_EQ(story.tracker.Settle(at - 1), std::nullopt);
  EXPECT_TRUE(story.tracker.InKexec());
  EXPECT_EQ(story.tracker.Settle(at), 1u);
  EXPECT_FALSE(story.tracker.InKexec());
  EXPECT_EQ(story.tracker.SettlesAt(), std::nullopt);
  EXPECT_EQ(story.tracker.Settle(at + 1), std::nullopt) << "once";
  EXPECT_EQ(story.tracker.boots()[1].came_up, CameUpBy::kSettled);
  // A mark says it better, however late.
  EXPECT_TRUE(story.Mark(at + 2, MARK_CODE_UP, 2));
  EXPECT_EQ(story.tracker.boots()[1].came_up, CameUpBy::kMark);
}

// Linux waits five seconds for each CPU that does not come.
TEST(KexecTrackerTest, AMissingCpuIsWaitedForLonger) {
  Story story = Unmarked([](Story& s) { s.Psci(1600, 0, PSCI_CPU_ON_64, 1); });
  EXPECT_EQ(story.tracker.SettlesAt(), 1600 + KexecTracker::kApartNs);
  EXPECT_EQ(story.tracker.End(false), std::nullopt) << "it may yet come";
  EXPECT_EQ(story.tracker.Settle(1600 + KexecTracker::kApartNs), 1u);
  const Boot& kexec = story.tracker.boots()[1];
  EXPECT_EQ(Verdict(kexec), "cpus-lost");
  EXPECT_EQ(kexec.lost,
            (std::vector<LostCpu>{{1, LostCpu::Fate::kNeverStarted}}));
}

TEST(KexecTrackerTest, AGuestThatMarksIsAskedNothingElse) {
  Story story = Leaving();
  story.Probe(1500);
  story.TurnOn(1600, 1);
  EXPECT_EQ(story.tracker.SettlesAt(), std::nullopt);
  EXPECT_EQ(story.tracker.End(true), std::nullopt);
  EXPECT_TRUE(story.tracker.InKexec());
}

TEST(KexecTrackerTest, WhoeverStopsItACpuThatIsBackIsBack) {
  Story story = Unmarked([](Story& s) { s.TurnOn(1600, 1); });
  EXPECT_EQ(story.tracker.End(false), 1u);
  EXPECT_EQ(story.tracker.boots()[1].came_up, CameUpBy::kStopped);
}

// faults.md A5: a crash kernel's CPUs are its own business.
TEST(KexecTrackerTest, AKernelThatFollowsAPanicIsACrashKernel) {
  for (const bool panicked : {true, false}) {
    Story story(3);
    story.Probe(0);
    story.TurnOn(10, 1);
    story.TurnOn(20, 2);
    story.tracker.SetPanicked(panicked);
    story.TurnOff(1000, 1);
    story.TurnOff(1010, 2);
    story.Probe(2000);
    story.tracker.End(true);
    const Boot& kexec = story.tracker.boots()[1];
    EXPECT_EQ(kexec.crash, panicked);
    EXPECT_EQ(Verdict(kexec), panicked ? "pass" : "cpus-lost");
  }
}

// faults.md D10.
TEST(KexecTrackerTest, ACountThatCannotBeIsNone) {
  Story story(2);
  story.Probe(0);
  story.TurnOn(10, 1);
  story.Mark(100, MARK_CODE_UP, 144502507);
  story.Mark(1000, MARK_CODE_KEXEC, 1077016024);
  EXPECT_EQ(story.tracker.boots()[0].cpus_back, 2u);
  EXPECT_EQ(story.tracker.boots()[1].cpus, 2u);
}

// The CPU that boots may be turned off, and on again by another one.
TEST(KexecTrackerTest, NoMoreCpusAreBackThanThereAre) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.TurnOff(1100, 1);
  story.Probe(1200);
  story.TurnOn(1300, 1);
  story.TurnOff(1400, 0);
  story.TurnOn(1500, 0);
  story.tracker.End(/*by_guest=*/true);
  EXPECT_EQ(story.tracker.boots()[1].cpus_back, 2u);
}

// Where parking is sampled, a CPU may have come back that nobody saw.
TEST(KexecTrackerTest, NoMoreCpusLeaveThanThereAre) {
  Story story(2);
  story.Probe(0);
  story.TurnOn(10, 1);
  story.TurnOff(20, 1);
  story.TurnOff(30, 0);
  story.Probe(40);
  ASSERT_EQ(story.tracker.boots().size(), 2u);
  EXPECT_EQ(story.tracker.boots()[1].cpus, 2u);
}

// A guest that marks and did not announce it may be in a crash kernel.
TEST(KexecTrackerTest, WhatAGuestThatMarksDidNotAnnounceIsNotWaitedFor) {
  Story story(2);
  story.Boot(0, 2);
  story.TurnOff(200, 1);
  story.Probe(300);
  EXPECT_EQ(story.tracker.boots().size(), 2u);
  EXPECT_TRUE(story.tracker.boots()[1].crash);
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
  EXPECT_EQ(story.tracker.boots().size(), KexecTracker::kMaxBoots);
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

TEST(KexecTrackerTest, WhoIsOnAlreadyInTheFirstBootIsNotLost) {
  using Fate = LostCpu::Fate;
  Story story(3);
  story.Probe(0);
  story.Psci(10, 0, PSCI_CPU_ON_64, 0, PSCI_RET_ALREADY_ON);
  story.Psci(20, 0, PSCI_CPU_ON_64, 1, PSCI_RET_INTERNAL_FAILURE);
  story.tracker.End(true);
  EXPECT_EQ(
      story.tracker.boots()[0].lost,
      (std::vector<LostCpu>{{1, Fate::kRefused, PSCI_RET_INTERNAL_FAILURE}}));
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
  EXPECT_EQ(kexec.phases.down, 301);
  EXPECT_EQ(kexec.phases.early, 100);
  EXPECT_EQ(kexec.doors, (Doors{.cpu_off = 1, .cpu_on = 1}));

  Story stayed = Leaving();
  stayed.TurnOn(1200, 1);
  stayed.Psci(1500, 0, PSCI_VERSION);
  stayed.Mark(1700, MARK_CODE_UP, 1);
  EXPECT_EQ(stayed.tracker.boots().back().doors, Doors{});
  EXPECT_EQ(stayed.tracker.boots().back().phases, Phases{});
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
  EXPECT_EQ(kexec.phases.down, 500);
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

TEST(KexecTrackerTest, WithoutAVersionTheOldKernelsCallsAreNotTheNextOnes) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOn(1010, 1);
  story.TurnOff(1020, 2);
  story.Mark(1100, MARK_CODE_UP, 3);
  EXPECT_EQ(story.tracker.boots()[1].phases, (Phases{.down = 21}));
  EXPECT_EQ(story.tracker.boots()[1].shares.up, std::nullopt);

  story.Mark(2000, MARK_CODE_KEXEC, 3);
  story.TurnOff(2020, 2);
  story.TurnOn(2021, 2);
  story.Mark(2100, MARK_CODE_UP, 3);
  EXPECT_EQ(story.tracker.boots()[2].phases,
            (Phases{.down = 21, .up = 1, .userspace = 78}));

  story.Mark(3000, MARK_CODE_KEXEC, 3);
  story.TurnOn(3010, 1);
  story.Psci(3020, 2, PSCI_CPU_OFF);  // Nobody sees it go.
  story.Mark(3100, MARK_CODE_UP, 3);
  EXPECT_EQ(story.tracker.boots()[3].phases, Phases());
}

// What left for the first kexec leaves once.
TEST(KexecTrackerTest, AKexecWithoutMarksHasItsOwnLeaves) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOff(1100, 1);
  story.TurnOff(1200, 2);
  story.Probe(1500);
  story.TurnOn(1510, 1);  // CPU 2 stays away.
  story.Mark(1600, MARK_CODE_UP, 2);
  story.TurnOff(2100, 1);
  story.Probe(2500);
  story.TurnOn(2600, 1);
  story.Mark(2700, MARK_CODE_UP, 2);
  ASSERT_EQ(story.tracker.boots().size(), 3u);
  const Boot& kexec = story.tracker.boots()[2];
  EXPECT_FALSE(kexec.announced);
  EXPECT_EQ(kexec.cpus, 2u);
  EXPECT_EQ(kexec.begin, 2100);
  EXPECT_EQ(kexec.total, std::nullopt);
  EXPECT_EQ(kexec.phases,
            (Phases{.jump = 399, .early = 100, .up = 1, .userspace = 99}));
  EXPECT_EQ(kexec.doors, (Doors{.cpu_off = 1, .cpu_on = 1}));
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  EXPECT_EQ(kexec.per_cpu[0].kernel_before_off, std::nullopt);
}

// Marks alone, and only those that end a boot, complete one.
TEST(KexecTrackerTest, OnlyTheUpMarkCompletesABoot) {
  Story story(2);
  EXPECT_FALSE(story.Other(0, 0, Kind::kStart));
  EXPECT_FALSE(story.Psci(1, 0, PSCI_VERSION));
  EXPECT_FALSE(story.Psci(10, 0, PSCI_CPU_ON_64, 1));
  EXPECT_FALSE(story.Other(11, 1, Kind::kStart));
  EXPECT_TRUE(story.Mark(100, MARK_CODE_UP, 2));
  EXPECT_FALSE(story.Mark(101, MARK_CODE_UP, 1)) << "again";
  EXPECT_EQ(story.tracker.boots()[0].cpus_back, 2u);
  EXPECT_FALSE(story.Mark(200, MARK_CODE_KEXEC, 2));
  EXPECT_FALSE(story.Other(210, 1, Kind::kParkStore));
  EXPECT_FALSE(story.Other(211, 1, Kind::kOff));
  EXPECT_FALSE(story.Psci(220, 0, PSCI_VERSION));
  EXPECT_FALSE(story.Other(230, 1, Kind::kReleaseStore));
  EXPECT_FALSE(story.Mark(240, MARK_CODE_STEP_ENTER, 1));
  EXPECT_FALSE(story.Mark(250, MARK_CODE_STEP_EXIT, 1));
  EXPECT_FALSE(story.Mark(260, MARK_CODE_STEP_NAME, 1));
  EXPECT_FALSE(story.Mark(270, 0xffff, 1));
  for (const Kind kind : {Kind::kVerdict, Kind::kReset, Kind::kPowerOff}) {
    EXPECT_FALSE(story.Other(300, 0, kind));
  }
  EXPECT_FALSE(story.tracker.boots()[1].came_up);
}

TEST(KexecTrackerTest, AnyCallParkOrMarkIsASignOfLife) {
  EXPECT_FALSE(Story(1).tracker.SawKernel());
  {
    Story story(1);
    story.Other(0, 0, Kind::kStart);
    EXPECT_FALSE(story.tracker.SawKernel()) << "the VMM's own doing";
    story.Psci(1, 0, PSCI_VERSION);
    EXPECT_TRUE(story.tracker.SawKernel());
  }
  {
    Story story(1);
    story.Other(0, 0, Kind::kParkStore);
    EXPECT_TRUE(story.tracker.SawKernel());
  }
  {
    Story story(1);
    story.Mark(0, 0xffff, 0);
    EXPECT_TRUE(story.tracker.SawKernel());
  }
}

TEST(KexecTrackerTest, CallsOfBothWidthsCountAndOthersDoNot) {
  Story story = Leaving();
  // Another call, whose answer is the number that means OFF.
  story.Psci(1110, 0, PSCI_FEATURES, 1, PSCI_AFFINITY_OFF);
  story.Psci(1120, 0, PSCI_AFFINITY_INFO_32, 1, PSCI_AFFINITY_OFF);
  story.Psci(1500, 0, PSCI_VERSION);
  story.Psci(1600, 0, PSCI_CPU_ON_32, 1);
  story.Other(1601, 1, Kind::kStart);
  story.Mark(1700, MARK_CODE_UP, 2);
  const Boot& kexec = story.tracker.boots().back();
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  EXPECT_EQ(kexec.per_cpu[0].at, (CpuMoments{100, 101, 120, 600, 601}));
}

TEST(KexecTrackerTest, AKernelThatAsksTwiceWithItsCpusOnIsTheSame) {
  Story story(2);
  story.Boot(0, 2);
  story.Psci(200, 0, PSCI_VERSION);
  EXPECT_EQ(story.tracker.boots().size(), 1u);
  // Off and on again is on.
  story.TurnOff(300, 1);
  story.TurnOn(400, 1);
  story.Psci(500, 0, PSCI_VERSION);
  EXPECT_EQ(story.tracker.boots().size(), 1u);
  // In the kexec, too.
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.TurnOff(1100, 1);
  story.Boot(1500, 2);
  story.Psci(1700, 0, PSCI_VERSION);
  EXPECT_EQ(story.tracker.boots().size(), 2u);
}

// Memory does not grow with the number of kexecs, and nothing that is judged is
// lost.
TEST(KexecTrackerTest, WhatIsNotJudgedMayBeForgotten) {
  Story story(2, KexecTracker::Keep::kWhatIsJudged);
  story.Boot(0, 2);
  size_t reported = 0;
  constexpr int64_t kKexecs = 100;
  for (int64_t i = 1; i <= kKexecs; ++i) {
    story.Mark(1000 * i, MARK_CODE_KEXEC, 2);
    story.TurnOff(1000 * i + 100, 1);
    story.Probe(1000 * i + 200);
    if (i != 50) story.TurnOn(1000 * i + 300, 1);
    reported += story.Mark(1000 * i + 400, MARK_CODE_UP, i == 50 ? 1 : 2);
    EXPECT_EQ(story.tracker.boots().back().number, i);
  }
  EXPECT_EQ(reported, 100u);
  std::vector<uint32_t> kept;
  for (const Boot& boot : story.tracker.boots()) kept.push_back(boot.number);
  EXPECT_EQ(kept, (std::vector<uint32_t>{0, 50, 99, 100}));
  EXPECT_EQ(story.tracker.forgotten(), 97u);
}

TEST(KexecTrackerTest, KexecsWithoutMarksAreBounded) {
  Story story(2);
  for (int64_t i = 0; i < int64_t{KexecTracker::kMaxBoots} + 10; ++i) {
    story.Probe(10 * i);
    story.TurnOn(10 * i + 2, 1);
    story.TurnOff(10 * i + 5, 1);
  }
  EXPECT_EQ(story.tracker.boots().size(), KexecTracker::kMaxBoots);
}

TEST(KexecTrackerTest, AnyCpuMayCallKexec) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.TurnOff(1100, 0);
  story.Psci(1110, 1, PSCI_AFFINITY_INFO_64, 0, PSCI_AFFINITY_OFF);
  story.Psci(1500, 1, PSCI_VERSION);
  story.Psci(1600, 1, PSCI_CPU_ON_64, 0);
  story.Other(1601, 0, Kind::kStart);
  story.Mark(1700, MARK_CODE_UP, 2);
  const Boot& kexec = story.tracker.boots().back();
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  EXPECT_EQ(kexec.per_cpu[0].vcpu, 0u);
  EXPECT_EQ(kexec.per_cpu[0].at, (CpuMoments{100, 101, 110, 600, 601}));
}

TEST(KexecTrackerTest, AKexecThatFailedLeavesNoSteps) {
  Story story(2);
  story.Boot(0, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.Mark(1010, MARK_CODE_STEP_ENTER, 1 | 7 << 16);
  story.Mark(1020, MARK_CODE_STEP_EXIT, 1 | 7 << 16);
  story.Mark(1100, MARK_CODE_KEXEC, 2);
  story.Boot(1500, 2);
  EXPECT_EQ(story.tracker.boots().size(), 2u);
  EXPECT_FALSE(story.tracker.boots()[1].steps);
}

TEST(KexecTrackerTest, WithoutAVersionStepsAreNeitherDownNorUp) {
  Story story(2);
  story.Mark(0, MARK_CODE_UP, 2);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  story.Mark(1010, MARK_CODE_STEP_ENTER, 1 | 7 << 16);
  story.Mark(1020, MARK_CODE_STEP_EXIT, 1 | 7 << 16);
  story.Mark(1600, MARK_CODE_UP, 2);
  EXPECT_FALSE(story.tracker.boots()[1].steps);
}

TEST(KexecTrackerTest, OffOfACpuThatDidNotLeaveOrIsOffMeansNothing) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOff(1100, 1);
  story.Other(1200, 1, Kind::kOff);
  story.Other(1300, 2, Kind::kOff);
  const Boot kexec = Arriving(story);
  EXPECT_EQ(kexec.phases.down, 101);
  ASSERT_EQ(kexec.per_cpu.size(), 1u);
  EXPECT_EQ(kexec.per_cpu[0].at.off, 101);
}

TEST(KexecTrackerTest, CpusCountWhileTheyComeBack) {
  Story story(3);
  story.Boot(0, 3);
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  story.TurnOff(1100, 1);
  story.TurnOff(1200, 2);
  story.Psci(1500, 0, PSCI_VERSION);
  story.TurnOn(1510, 1);
  EXPECT_EQ(story.tracker.boots()[1].cpus_back, 2u);
  story.tracker.Add({.ns = 1520, .kind = Kind::kReleaseStore, .args = {2}});
  story.Other(1530, 2, Kind::kStart);
  EXPECT_EQ(story.tracker.boots()[1].cpus_back, 3u);
  EXPECT_EQ(story.tracker.boots()[1].doors,
            (Doors{.cpu_off = 2, .cpu_on = 1, .release = 1}));
}

TEST(KexecTrackerTest, NothingWasThereBeforeTheFirstBoot) {
  Story story(2);
  story.Other(0, 0, Kind::kStart);
  story.TurnOff(10, 1);
  story.Psci(20, 0, PSCI_VERSION);
  story.TurnOn(30, 1);
  story.Mark(100, MARK_CODE_UP, 2);
  const Boot& boot = story.tracker.boots()[0];
  EXPECT_EQ(boot.phases, (Phases{.early = 10, .up = 1, .userspace = 69}));
  EXPECT_EQ(boot.shares.prepare, std::nullopt);
  EXPECT_EQ(boot.shares.down, std::nullopt);
  EXPECT_EQ(boot.shares.jump, std::nullopt);
  EXPECT_EQ(boot.shares.early, (Shares{.kernel = 10}));
}

TEST(KexecTrackerTest, TheRecordsOfCpusAreBounded) {
  constexpr uint32_t kCpus = 100'000;
  Story story(kCpus);
  story.Mark(0, MARK_CODE_UP, kCpus);
  for (int64_t ns = 1000; ns <= 10'000; ns += 1000) {
    story.Mark(ns, MARK_CODE_KEXEC, kCpus);
    story.TurnOff(ns + 100, 1);
    story.Psci(ns + 200, 0, PSCI_VERSION);
    story.TurnOn(ns + 300, 1);
    story.Mark(ns + 400, MARK_CODE_UP, kCpus);
  }
  const auto& boots = story.tracker.boots();
  ASSERT_EQ(boots.size(), 11u);
  EXPECT_EQ(boots[9].per_cpu.size(), 1u);  // The millionth record is the last.
  EXPECT_EQ(boots[10].per_cpu.size(), 0u);
  EXPECT_EQ(boots[10].phases.down, 101);
}

}  // namespace
}  // namespace vmm
