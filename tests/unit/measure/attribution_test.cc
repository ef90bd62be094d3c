// SPDX-License-Identifier: Apache-2.0
// A known delay at each place of a kexec arrives in the interval of that place,
// and in no other. tests/tools/test_attribution.py has the same for what the
// VMM writes and Python reads.
#include "vmm/measure/attribution.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>

#include "tests/unit/measure/story.h"

namespace vmm {
namespace {

using Kind = Event::Kind;

constexpr int64_t kDelay = 7'000'000;
constexpr uint32_t kCpus = 4;
constexpr uint32_t kFirst = 1, kLast = kCpus - 1;

enum class Place {
  kKernelBeforeOff,
  kFirmwareOff,
  kVmmOff,
  kGuestPoll,
  kFirmwareOn,
  kVmmOn,
  kKernelAfterOn,
};

// A kexec that takes its CPUs down one by one, and up again. `delay` is spent
// at `place` of `cpu`, on top of what each place takes.
Boot Kexec(Place place, uint32_t cpu, int64_t delay) {
  Story story(kCpus);
  story.Boot(0, kCpus);
  int64_t ns = 1000;
  uint32_t here = 0;
  const auto spend = [&](Place what, int64_t usual) {
    const int64_t took = usual + (what == place && here == cpu ? delay : 0);
    ns += took;
    return took;
  };
  story.Mark(ns, MARK_CODE_KEXEC, kCpus);
  for (here = kFirst; here <= kLast; ++here) {
    spend(Place::kKernelBeforeOff, 100);
    story.Psci(ns, here, PSCI_CPU_OFF);
    const int64_t firmware = spend(Place::kFirmwareOff, 20);
    spend(Place::kVmmOff, 3);
    story.tracker.Add(
        {.ns = ns, .vcpu = here, .kind = Kind::kOff, .firmware_ns = firmware});
    spend(Place::kGuestPoll, 7);
    story.Psci(ns, 0, PSCI_AFFINITY_INFO_64, here, PSCI_AFFINITY_OFF);
  }
  story.Psci(ns += 500, 0, PSCI_VERSION);
  ns += 300;
  for (here = kFirst; here <= kLast; ++here) {
    story.Psci(ns, 0, PSCI_CPU_ON_64, here);
    const int64_t firmware = spend(Place::kFirmwareOn, 30);
    spend(Place::kVmmOn, 5);
    story.tracker.Add({.ns = ns,
                       .vcpu = here,
                       .kind = Kind::kStart,
                       .firmware_ns = firmware});
    spend(Place::kKernelAfterOn, 50);
  }
  story.Mark(ns += 900, MARK_CODE_UP, kCpus);
  return story.tracker.boots()[1];
}

using Figures = std::map<std::string, int64_t>;

void AddShares(Figures& figures, const std::string& phase,
               std::optional<int64_t> ns, const std::optional<Shares>& shares) {
  figures[phase] = ns.value();
  figures[phase + " firmware"] = shares->firmware;
  figures[phase + " vmm"] = shares->vmm;
  figures[phase + " polling"] = shares->polling;
  figures[phase + " kernel"] = shares->kernel;
}

// Every interval by name.
Figures FiguresOf(const Boot& boot) {
  Figures figures = {{"total", boot.total.value()}};
  const Phases& phases = boot.phases;
  const PhaseShares& shares = boot.shares;
  AddShares(figures, "prepare", phases.prepare, shares.prepare);
  AddShares(figures, "down", phases.down, shares.down);
  AddShares(figures, "jump", phases.jump, shares.jump);
  AddShares(figures, "early", phases.early, shares.early);
  AddShares(figures, "up", phases.up, shares.up);
  AddShares(figures, "userspace", phases.userspace, shares.userspace);
  for (const CpuTimes& cpu : boot.per_cpu) {
    const std::string name = std::to_string(cpu.vcpu);
    figures[name + " kernel_before_off"] = cpu.kernel_before_off.value();
    figures[name + " firmware_off"] = cpu.firmware_off.value();
    figures[name + " vmm_off"] = cpu.vmm_off.value();
    figures[name + " guest_poll"] = cpu.guest_poll.value();
    figures[name + " firmware_on"] = cpu.firmware_on.value();
    figures[name + " vmm_on"] = cpu.vmm_on.value();
    if (cpu.kernel_after_on) {
      figures[name + " kernel_after_on"] = *cpu.kernel_after_on;
    }
  }
  return figures;
}

struct Arrives {
  Place place;
  std::string interval;  // Of the CPU.
  std::string phase;
  std::string who;
};

class DelayTest : public testing::TestWithParam<std::tuple<Arrives, uint32_t>> {
};

TEST_P(DelayTest, ArrivesInItsIntervalAndInNoOther) {
  auto [arrives, cpu] = GetParam();
  const Figures before = FiguresOf(Kexec(arrives.place, cpu, 0));
  Figures grew;
  for (const auto& [name, ns] : FiguresOf(Kexec(arrives.place, cpu, kDelay))) {
    if (ns != before.at(name)) grew[name] = ns - before.at(name);
  }
  // What comes before the first leave is "prepare", what the last CPU is
  // polled for is "jump", and what follows its start is "userspace".
  if (arrives.place == Place::kKernelBeforeOff && cpu == kFirst) {
    arrives.phase = "prepare";
  } else if (arrives.place == Place::kGuestPoll && cpu == kLast) {
    arrives.phase = "jump";
  } else if (arrives.place == Place::kKernelAfterOn && cpu == kLast) {
    arrives.phase = "userspace";
  }
  Figures expected = {{"total", kDelay},
                      {arrives.phase, kDelay},
                      {arrives.phase + " " + arrives.who, kDelay}};
  if (arrives.place != Place::kKernelAfterOn || cpu != kLast) {
    expected[std::to_string(cpu) + " " + arrives.interval] = kDelay;
  }
  // This kernel waits for each CPU, so the next one leaves later.
  const bool waits = arrives.place == Place::kFirmwareOff ||
                     arrives.place == Place::kVmmOff ||
                     arrives.place == Place::kGuestPoll;
  if (waits && cpu != kLast) {
    expected[std::to_string(cpu + 1) + " kernel_before_off"] = kDelay;
  }
  EXPECT_EQ(grew, expected);
}

INSTANTIATE_TEST_SUITE_P(
    EachPlace, DelayTest,
    testing::Combine(
        testing::Values(
            Arrives{Place::kKernelBeforeOff, "kernel_before_off", "down",
                    "kernel"},
            Arrives{Place::kFirmwareOff, "firmware_off", "down", "firmware"},
            Arrives{Place::kVmmOff, "vmm_off", "down", "vmm"},
            Arrives{Place::kGuestPoll, "guest_poll", "down", "polling"},
            Arrives{Place::kFirmwareOn, "firmware_on", "up", "firmware"},
            Arrives{Place::kVmmOn, "vmm_on", "up", "vmm"},
            Arrives{Place::kKernelAfterOn, "kernel_after_on", "up", "kernel"}),
        testing::Range(kFirst, kCpus)),
    [](const auto& test) {
      return std::get<0>(test.param).interval + "_of_cpu_" +
             std::to_string(std::get<1>(test.param));
    });

// --- Several CPUs at once ----------------------------------------------------

constexpr Boundaries kAt = {.kexec = 0, .version = 1000, .up = 2000};

PhaseShares SharesOfCpus(std::vector<CpuRecord> cpus) {
  Boundaries at = kAt;
  AddCpus(at, cpus);
  return SharesOf(at, cpus);
}

TEST(SharesTest, AMomentThatSeveralHaveIsTheFirmwaresThenTheVmms) {
  const PhaseShares shares = SharesOfCpus({
      {.leave = Leave{.left = 100, .off = 150, .firmware = 20}},
      {.leave = Leave{.left = 110, .off = 180, .firmware = 30}},
  });
  // Firmware from 100 to 140, the VMM from 120 on.
  EXPECT_EQ(shares.down, (Shares{.firmware = 40, .vmm = 40}));
}

TEST(SharesTest, WhoWaitsWhileCpusLeaveDoesNotPoll) {
  const PhaseShares shares = SharesOfCpus({
      {.leave = Leave{.left = 200, .off = 205, .known = 230}},
      {.leave = Leave{.left = 220, .off = 225, .known = 240}},
  });
  EXPECT_EQ(shares.down, (Shares{.vmm = 10, .kernel = 15}));
  EXPECT_EQ(shares.jump, (Shares{.polling = 15, .kernel = 760}));
}

TEST(SharesTest, MoreFirmwareThanThereWasTimeIsCut) {
  const PhaseShares shares =
      SharesOfCpus({{.leave = Leave{.left = 100, .off = 150, .firmware = 900}},
                    {.leave = Leave{.left = 100, .off = 150}}});
  EXPECT_EQ(shares.down, (Shares{.firmware = 50}));
}

TEST(SharesTest, AWayThatBeganInOnePhaseGoesOnInTheNext) {
  const PhaseShares shares = SharesOfCpus({
      {.leave = Leave{.left = 100, .off = 1050}},
      {.leave = Leave{.left = 900, .off = 1010}},
      {.arrival = Arrival{.called = 1100, .started = 1200}},
  });
  EXPECT_EQ(shares.down, (Shares{.vmm = 900}));
  EXPECT_EQ(shares.jump, Shares{});
  EXPECT_EQ(shares.early, (Shares{.vmm = 50, .kernel = 50}));
}

TEST(PerCpuTest, ComesInTheOrderOfTheCallsAndThenOfTheLeaves) {
  const std::vector<CpuRecord> cpus = {
      {},
      {.leave = Leave{.left = 300}},
      {.leave = Leave{.left = 200}},
      {.leave = Leave{.left = 100},
       .arrival = Arrival{.called = 1500, .started = 1600}},
      {.arrival = Arrival{.called = 1400, .started = 1550}},
  };
  const auto times = PerCpu(0, kAt, cpus);
  ASSERT_EQ(times.size(), 4u);
  EXPECT_EQ(times[0].vcpu, 4u);
  EXPECT_EQ(times[1].vcpu, 3u);
  EXPECT_EQ(times[2].vcpu, 2u);
  EXPECT_EQ(times[3].vcpu, 1u);
  EXPECT_EQ(times[0].kernel_before_off, std::nullopt);
  EXPECT_EQ(times[1].kernel_before_off, 100);
  EXPECT_EQ(times[2].kernel_before_off, 100);
  EXPECT_EQ(times[3].kernel_before_off, 100);
  // The second was called while the first was on its way.
  EXPECT_EQ(times[0].kernel_after_on, 0);
  EXPECT_EQ(times[1].kernel_after_on, std::nullopt);
}

TEST(PerCpuTest, TwoThatLeaveAtOnceHaveOneGap) {
  const std::vector<CpuRecord> cpus = {{.leave = Leave{.left = 100}},
                                       {.leave = Leave{.left = 100}}};
  const auto times = PerCpu(0, kAt, cpus);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(*times[0].kernel_before_off + *times[1].kernel_before_off, 100);
}

TEST(PerCpuTest, MomentsCountFromTheBeginning) {
  const std::vector<CpuRecord> cpus = {
      {.leave = Leave{.left = 150, .off = 160, .known = 180},
       .arrival = Arrival{.called = 1500, .started = 1510}}};
  const auto times = PerCpu(50, kAt, cpus);
  ASSERT_EQ(times.size(), 1u);
  EXPECT_EQ(times[0].at, (CpuMoments{100, 110, 130, 1450, 1460}));
}

TEST(SharesTest, WhatCannotBeIsNobodys) {
  // Known to be off before it was: no time of polling, and none is taken from
  // another CPU's.
  const PhaseShares shares = SharesOfCpus({
      {.leave = Leave{.left = 100, .off = 110, .known = 300}},
      {.leave = Leave{.left = 105, .off = 250, .known = 200}},
  });
  EXPECT_EQ(shares.down, (Shares{.vmm = 150}));
  EXPECT_EQ(shares.jump, (Shares{.polling = 50, .kernel = 700}));
}

TEST(SharesTest, MoreFirmwareThanThereWasTimeIsNotTheNextPhases) {
  const PhaseShares shares = SharesOfCpus(
      {{.leave = Leave{.left = 100, .off = 150, .firmware = 900}}});
  EXPECT_EQ(shares.jump, (Shares{.kernel = 850}));
}

TEST(SharesTest, TheOrderOfTheCpusMeansNothing) {
  const PhaseShares shares = SharesOfCpus({
      {.leave = Leave{.left = 220, .off = 225, .known = 240}},
      {.leave = Leave{.left = 200, .off = 205, .known = 230}},
  });
  EXPECT_EQ(shares.down, (Shares{.vmm = 10, .kernel = 15}));
  EXPECT_EQ(shares.jump, (Shares{.polling = 15, .kernel = 760}));
}

TEST(SharesTest, WhoLeavesAtTheEdgesOfAWaitLeavesMeanwhile) {
  // At the moment that the first is off.
  EXPECT_EQ(
      SharesOfCpus({
                       {.leave = Leave{.left = 200, .off = 205, .known = 230}},
                       {.leave = Leave{.left = 205, .off = 210, .known = 210}},
                   })
          .jump,
      (Shares{.kernel = 790}));
  // At the moment that the first is known to be off.
  EXPECT_EQ(
      SharesOfCpus({
                       {.leave = Leave{.left = 200, .off = 205, .known = 230}},
                       {.leave = Leave{.left = 230, .off = 240, .known = 240}},
                   })
          .down,
      (Shares{.vmm = 15, .kernel = 25}));
}

TEST(PhasesTest, WithoutAVersionCpusLeaveAllTheSame) {
  Boundaries at = {.kexec = 0, .up = 2000};
  AddCpus(at,
          std::vector<CpuRecord>{{.leave = Leave{.left = 100, .off = 110}},
                                 {.leave = Leave{.left = 120, .off = 150}}});
  EXPECT_EQ(PhasesOf(at), (Phases{.prepare = 100, .down = 50}));
}

// A kexec whose CPUs park and are released; that is seen late if `sampled`.
Boot ParkedKexec(bool sampled) {
  Story story(3);
  story.Boot(0, 3);
  const auto add = [&](int64_t ns, uint32_t vcpu, Kind kind, uint64_t target) {
    story.tracker.Add({.ns = ns,
                       .vcpu = vcpu,
                       .kind = kind,
                       .args = {target},
                       .sampled = sampled});
  };
  story.Mark(1000, MARK_CODE_KEXEC, 3);
  for (const uint32_t cpu : {1u, 2u}) {
    add(1000 + 10 * cpu, cpu, Kind::kParkStore, 0);
    add(1000 + 10 * cpu, cpu, Kind::kOff, 0);
  }
  story.Probe(2000);
  for (const uint32_t cpu : {1u, 2u}) {
    add(3000 + 10 * cpu, 0, Kind::kReleaseStore, cpu);
    add(3000 + 10 * cpu, cpu, Kind::kStart, 0);
  }
  story.Mark(4000, MARK_CODE_UP, 3);
  return story.tracker.boots()[1];
}

TEST(PhasesTest, E1NoTimeIsTakenFromWhatWasSampled) {
  const Boot exact = ParkedKexec(false);
  EXPECT_EQ(exact.phases, (Phases{.prepare = 10,
                                  .down = 10,
                                  .jump = 980,
                                  .early = 1010,
                                  .up = 10,
                                  .userspace = 980}));
  const Boot sampled = ParkedKexec(true);
  EXPECT_EQ(sampled.phases, Phases{});
  EXPECT_EQ(sampled.shares.down, std::nullopt);
  EXPECT_EQ(sampled.teardown, std::nullopt);
  ASSERT_EQ(sampled.per_cpu.size(), 2u);
  for (const CpuTimes& cpu : sampled.per_cpu) {
    EXPECT_EQ(cpu.at, CpuMoments{});
    EXPECT_EQ(cpu.kernel_before_off, std::nullopt);
    EXPECT_EQ(cpu.vmm_on, std::nullopt);
  }
  // What needs no clock is the same, and so is what the guest marked.
  EXPECT_EQ(sampled.total, 3000);
  EXPECT_EQ(sampled.cpus_back, 3u);
  EXPECT_EQ(sampled.doors, exact.doors);
  EXPECT_EQ(sampled.doors, (Doors{.park = 2, .release = 2}));
}

// One CPU that was sampled among others may have been the first or the last.
TEST(BoundariesTest, E1OneCpuThatWasSampledHidesTheEnds) {
  Boundaries at;
  AddCpus(at, std::vector<CpuRecord>{
                  {.leave = Leave{.left = 100, .off = 150},
                   .arrival = Arrival{.called = 1500, .started = 1510}},
                  {.leave = Leave{.left = 120, .sampled = true, .off = 120},
                   .arrival = Arrival{.called = 1505, .started = 1512}}});
  EXPECT_EQ(at.first_left, std::nullopt);
  EXPECT_EQ(at.last_off, std::nullopt);
  EXPECT_EQ(at.first_called, 1500);
  EXPECT_EQ(at.last_started, 1512);
}

// faults.md A3: of two CPUs, the first to leave is the last.
TEST(PhasesTest, TheWayOffOfTheOnlyCpuThatLeavesBeginsAtTheMark) {
  const std::vector<CpuRecord> cpus = {
      {.leave = Leave{.left = 100, .off = 150}}};
  Boundaries at = {.kexec = 0, .version = 200};
  AddCpus(at, cpus);
  EXPECT_EQ(PhasesOf(at), (Phases{.down = 150, .jump = 50}));
  EXPECT_EQ(SharesOf(at, cpus).down, (Shares{.vmm = 50, .kernel = 100}));
  at = {.version = 200};  // Without a mark nobody knows where it began.
  AddCpus(at, cpus);
  EXPECT_EQ(PhasesOf(at), (Phases{.jump = 50}));
}

TEST(LostTest, SaysWhatIsKnownOfEachCpuThatDidNotStart) {
  using Fate = LostCpu::Fate;
  const std::vector<CpuRecord> cpus = {
      {},
      {.leave = Leave{.left = 100}},
      {.leave = Leave{.left = 100}, .arrival = Arrival{.called = 200}},
      {.leave = Leave{.left = 100}, .refused = PSCI_RET_ALREADY_ON},
      {.leave = Leave{.left = 100},
       .arrival = Arrival{.called = 200, .started = 201},
       .refused = PSCI_RET_DENIED}};
  EXPECT_EQ(LostOf(cpus),
            (std::vector<LostCpu>{{1, Fate::kNotCalled},
                                  {2, Fate::kNeverStarted},
                                  {3, Fate::kRefused, PSCI_RET_ALREADY_ON}}));
}

TEST(PerCpuTest, WhoIsCalledFirstComesFirstWhoeverLeftFirst) {
  const std::vector<CpuRecord> cpus = {
      {.leave = Leave{.left = 100},
       .arrival = Arrival{.called = 1500, .started = 1600}},
      {.leave = Leave{.left = 300},
       .arrival = Arrival{.called = 1400, .started = 1450}},
  };
  const auto times = PerCpu(0, kAt, cpus);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].vcpu, 1u);
  EXPECT_EQ(times[0].kernel_after_on, 50);
  EXPECT_EQ(times[1].vcpu, 0u);
}

TEST(PerCpuTest, WhatWasNotSeenHasNoTime) {
  const std::vector<CpuRecord> cpus = {
      {.leave = Leave{.left = 100, .firmware = 5},
       .arrival = Arrival{.called = 1500, .firmware = 7}},
      {.arrival = Arrival{.called = 1600, .started = 1610, .firmware = 3}},
      {.leave = Leave{.left = 200, .off = 210, .firmware = 4}},
  };
  const auto times = PerCpu(0, kAt, cpus);
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0].at, (CpuMoments{.left = 100, .called = 1500}));
  EXPECT_EQ(times[0].vmm_off, std::nullopt);
  EXPECT_EQ(times[0].firmware_off, std::nullopt);
  EXPECT_EQ(times[0].guest_poll, std::nullopt);
  EXPECT_EQ(times[0].vmm_on, std::nullopt);
  EXPECT_EQ(times[0].firmware_on, std::nullopt);
  EXPECT_EQ(times[0].kernel_after_on, std::nullopt);
  EXPECT_EQ(times[1].vmm_off, std::nullopt);
  EXPECT_EQ(times[1].firmware_off, std::nullopt);
  EXPECT_EQ(times[1].vmm_on, 7);
  EXPECT_EQ(times[1].firmware_on, 3);
  EXPECT_EQ(times[1].kernel_after_on, std::nullopt);
  EXPECT_EQ(times[2].vmm_off, 6);
  EXPECT_EQ(times[2].firmware_off, 4);
  EXPECT_EQ(times[2].firmware_on, std::nullopt);
  EXPECT_EQ(times[2].kernel_after_on, std::nullopt);
}

TEST(BoundariesTest, OnlyWhatWasSeenCounts) {
  Boundaries at = kAt;
  AddCpus(at, std::vector<CpuRecord>{
                  {.leave = Leave{.left = 100, .off = 150}},
                  {.leave = Leave{.left = 200}},
                  {.arrival = Arrival{.called = 1500, .started = 1510}},
                  {.arrival = Arrival{.called = 1600}},
              });
  EXPECT_EQ(at.first_left, 100);
  EXPECT_EQ(at.last_off, 150);
  EXPECT_EQ(at.first_called, 1500);
  EXPECT_EQ(at.last_started, 1510);
}

}  // namespace
}  // namespace vmm
