// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/guest_parking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <cstring>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>

#include "psci-emul/park_abi.h"

namespace vmm {
namespace {

using psci::ParkFault;
using psci::VcpuId;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kPages = 0x40800000;
constexpr uint64_t kEntry = 0x40080000;
constexpr uint64_t kLoop = 0xf9400002f9000401;

constexpr uint64_t PageOfCpu(uint32_t cpu) {
  return kPages + 0x1000 * (uint64_t{cpu} - 1);
}

class GuestParkingTest : public testing::Test {
 protected:
  void SetUp() override {
    auto parking = GuestParking::Create(
        {*GuestRange::Make(GuestAddress(kPages - kParkGuard), 3 * kParkGuard),
         *GuestRange::Make(GuestAddress(kPages), kParkGuard)},
        {.memory = memory_,
         .power = power_,
         .judge = [](uint64_t entry) -> std::optional<ParkFault> {
           if (entry == 0) return ParkFault::kExitNotRam;
           if (entry % 4 == 0) return std::nullopt;
           return ParkFault::kExitMisaligned;
         },
         .diagnoses = diagnoses_,
         .events = events_,
         .clock = clock_,
         .is_off = [this](uint32_t cpu) { return off_ == cpu; },
         .vcpus = {.ask = [this](uint32_t cpu) -> std::optional<Whereabouts> {
                     ++asked_;
                     if (on_ask_) on_ask_();
                     const auto found = where_.find(cpu);
                     if (found == where_.end()) return std::nullopt;
                     return found->second;
                   },
                   .host_cpu_ns =
                       [this](uint32_t cpu) {
                         if (on_host_cpu_ns_) on_host_cpu_ns_();
                         return used_ns_[cpu] += 1000 * (cpu * cpu);
                       }}});
    ASSERT_TRUE(parking.ok()) << parking.status();
    parking_ = *std::move(parking);
  }
  void Put(uint64_t address, uint64_t value) {
    uint8_t bytes[8];
    std::memcpy(bytes, &value, 8);
    ASSERT_TRUE(memory_.Write(GuestAddress(address), bytes).ok());
  }
  void Prepare(uint32_t cpu, uint64_t loop = kLoop) {
    Put(PageOfCpu(cpu) + PARK_PAGE_EXIT, 0);
    Put(PageOfCpu(cpu) + PARK_PAGE_MAGIC, 0);
    Put(PageOfCpu(cpu) + PARK_PAGE_TEXT, loop);
  }
  void Park(uint32_t cpu) { Put(PageOfCpu(cpu) + PARK_PAGE_MAGIC, PARK_MAGIC); }
  // From before it is parked to after it is.
  void PrepareAndPark(uint32_t cpu) {
    Prepare(cpu);
    parking_->Look();
    Park(cpu);
    parking_->Look();
  }
  void Wipe(uint32_t cpu) {
    for (const uint64_t offset : {0u, 8u, 16u}) Put(PageOfCpu(cpu) + offset, 0);
  }
  void LookUntil(auto condition) {  // The hazard's own time has to pass.
    const int64_t end = clock_.Now() + 10'000'000'000;
    while (!condition() && clock_.Now() < end) parking_->Look();
  }
  std::vector<Event> Events() {
    std::vector<Event> events;
    events_.Drain(events);
    return events;
  }
  std::vector<Event::Kind> Kinds() {
    std::vector<Event::Kind> kinds;
    for (const Event& event : Events()) kinds.push_back(event.kind);
    return kinds;
  }
  std::vector<ParkFault> Faults() const {
    std::vector<ParkFault> faults;
    for (const Diagnosis& diagnosis : diagnoses_.All()) {
      faults.push_back(diagnosis.fault);
    }
    return faults;
  }

  GuestMemory memory_ =
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), 0x1000000));
  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}, psci::Mpidr{2},
                           psci::Mpidr{3}, psci::Mpidr{4},
                           psci::Mpidr{0x2500000100}}};
  DiagnosisLog diagnoses_;
  ReaderWake wake_;
  EventRing events_{wake_};
  Clock clock_;
  std::map<uint32_t, Whereabouts> where_;
  int asked_ = 0;
  std::function<void()> on_ask_;
  std::map<uint32_t, int64_t> used_ns_;
  std::function<void()> on_host_cpu_ns_;  // On the thread that looks.
  std::optional<uint32_t> off_;
  std::unique_ptr<GuestParking> parking_;
};

TEST_F(GuestParkingTest, SeesCpusParkAndLeaveAndAsksNobody) {
  Prepare(1);
  parking_->Look();
  Park(1);
  parking_->Look();
  EXPECT_THAT(Kinds(), ElementsAre(Event::Kind::kParkStore, Event::Kind::kOff));
  Put(PageOfCpu(1), kEntry);
  parking_->Look();
  EXPECT_THAT(Kinds(),
              ElementsAre(Event::Kind::kReleaseStore, Event::Kind::kStart));
  Wipe(1);
  parking_->Look();
  EXPECT_THAT(Faults(), IsEmpty());
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(parking_->Spinning()->parks, 1u);
  EXPECT_GT(parking_->Spinning()->parked_ns, 0);
  EXPECT_EQ(parking_->Spinning()->host_cpu_ns, 1000);
}

TEST_F(GuestParkingTest, ARoundIsSeenAgainAndAgain) {
  for (int round = 1; round <= 3; ++round) {
    Prepare(1);
    parking_->Look();
    Park(1);
    parking_->Look();
    Wipe(1);
    parking_->Look();
    EXPECT_EQ(parking_->Spinning()->parks, static_cast<uint64_t>(round));
  }
}

// At once: who was refused may let the CPU out next, or end the run.
TEST_F(GuestParkingTest, CpuOnOfASpinningCpuIsNamed) {
  where_[1] = {PageOfCpu(1) + 0x18, false};
  parking_->OnCpuOnRefused(VcpuId{0}, 1);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kCpuOnWhileSpinning));
  parking_->Look();
  EXPECT_EQ(asked_, 1);
}

TEST_F(GuestParkingTest, CpuOnOfACpuThatSimplyRunsIsNot) {
  where_[1] = {0xffff800080001234, true};
  parking_->OnCpuOnRefused(VcpuId{0}, 1);
  parking_->OnCpuOnRefused(VcpuId{0}, 0x77);  // No such CPU.
  EXPECT_THAT(Faults(), IsEmpty());
}

// It would wait for itself.
TEST_F(GuestParkingTest, ACpuThatTurnsItselfOnIsNotAsked) {
  where_[1] = {PageOfCpu(1) + 0x18, false};
  parking_->OnCpuOnRefused(VcpuId{1}, 1);
  EXPECT_EQ(asked_, 0);
}

TEST_F(GuestParkingTest, ACpuWithoutItsMmuAfterAWipeIsLost) {
  Prepare(1);
  parking_->Look();
  Park(1);
  parking_->Look();
  Wipe(1);
  parking_->Look();
  where_[1] = {0x200, false};
  LookUntil([this] { return !Faults().empty(); });
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kReleaseLost));
}

TEST_F(GuestParkingTest, ExitBeforeMagicAndABadExitAreNamed) {
  Prepare(1);
  parking_->Look();
  Put(PageOfCpu(1), kEntry);
  parking_->Look();
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kReleaseBeforePark));
  Prepare(2);
  parking_->Look();
  Park(2);
  parking_->Look();
  Put(PageOfCpu(2), kEntry + 1);
  parking_->Look();
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kReleaseBeforePark,
                                    ParkFault::kExitMisaligned));
}

TEST_F(GuestParkingTest, ACpuThatDoesNotComeIsNamedAfterASecond) {
  Prepare(1);
  Prepare(2);
  parking_->Look();
  Park(1);
  LookUntil([this] { return !Faults().empty(); });
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kCpuWithoutMagic));
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 2u);
}

TEST_F(GuestParkingTest, TwoCpusInOnePageAreFoundByAsking) {
  Prepare(1);
  parking_->Look();
  Park(1);
  where_[1] = where_[2] = {PageOfCpu(1) + 0x18, false};
  LookUntil([this] { return !Faults().empty(); });
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kPageShared));
}

TEST_F(GuestParkingTest, PagesBesideTheRegionAreFoundByAsking) {
  Prepare(1);
  parking_->Look();
  Park(1);
  where_[1] = {kPages - 0x1000 + 0x18, false};
  where_[2] = {kPages + kParkGuard + 0x18, false};
  LookUntil([this] { return Faults().size() == 2; });
  EXPECT_THAT(Faults(),
              ElementsAre(ParkFault::kPageOfCpu0, ParkFault::kPagePastRegion));
}

TEST_F(GuestParkingTest, AMagicOfACpuThatRunsElsewhereIsNamed) {
  Prepare(1);
  parking_->Look();
  Park(1);
  where_[1] = {0xffff800080001234, true};
  LookUntil([this] { return !Faults().empty(); });
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kMagicWithoutCpu));
}

TEST_F(GuestParkingTest, AMagicOfACpuThatIsOffIsStale) {
  off_ = 1;
  Prepare(1);
  parking_->Look();
  Park(1);
  parking_->Look();
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kStaleMagic));
  EXPECT_EQ(parking_->Spinning()->parks, 0u);
}

TEST_F(GuestParkingTest, AForeignLoopIsNamed) {
  Prepare(1);
  Prepare(2, kLoop + 1);
  parking_->Look();
  Park(1);
  parking_->Look();
  Park(2);
  parking_->Look();
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kForeignLoop));
}

// Looks come late; what happened between two of them accuses nobody.
TEST_F(GuestParkingTest, WhatHappensBetweenTwoLooksIsNoFault) {
  Prepare(1);
  parking_->Look();
  Park(1);
  parking_->Look();
  Wipe(1);
  parking_->Look();
  Prepare(1, kLoop + 1);
  Park(1);
  where_[1] = {PageOfCpu(1) + 0x10, false};
  parking_->Look();
  EXPECT_EQ(parking_->Spinning()->parks, 2u);
  Put(PageOfCpu(1), kEntry);  // And left unwiped.
  parking_->Look();
  where_[1] = {kEntry, true};
  LookUntil([this] { return asked_ > 0; });
  EXPECT_THAT(Faults(), IsEmpty());
}

// As those of a CPU that the VMM parks.
TEST_F(GuestParkingTest, EventsSayWhoAndWhere) {
  const int64_t begin = clock_.Now();
  PrepareAndPark(5);
  Put(PageOfCpu(5), kEntry);
  parking_->Look();
  const auto events = Events();
  ASSERT_EQ(events.size(), 4u);
  for (const Event& event : events) {
    EXPECT_EQ(event.vcpu, 5u);
    EXPECT_GE(event.ns, begin);
    EXPECT_LE(event.ns, clock_.Now());
    EXPECT_TRUE(event.sampled);
  }
  using Kind = Event::Kind;
  EXPECT_EQ(events[0].kind, Kind::kParkStore);
  EXPECT_EQ(events[0].arguments, 1);
  EXPECT_EQ(events[0].args[0], PageOfCpu(5));
  EXPECT_EQ(events[1].kind, Kind::kOff);
  EXPECT_EQ(events[1].arguments, 1);
  EXPECT_EQ(events[1].args[0], static_cast<uint64_t>(psci::Door::kPage));
  EXPECT_EQ(events[1].ns, events[0].ns);
  EXPECT_EQ(events[2].kind, Kind::kReleaseStore);
  EXPECT_EQ(events[2].arguments, 3);
  EXPECT_THAT(events[2].args, ElementsAre(0x2500000100, kEntry, PageOfCpu(5)));
  EXPECT_EQ(events[3].kind, Kind::kStart);
  EXPECT_EQ(events[3].arguments, 2);
  EXPECT_THAT(events[3].args, ElementsAre(kEntry, PageOfCpu(5), 0));
  EXPECT_EQ(events[3].ns, events[2].ns);
  EXPECT_EQ(parking_->Spinning()->parked_ns, events[3].ns - events[0].ns);
}

TEST_F(GuestParkingTest, WhatSpinningCostIsAddedUp) {
  const int64_t begin = clock_.Now();
  for (const uint32_t cpu : {1u, 2u}) PrepareAndPark(cpu);
  for (const uint32_t cpu : {2u, 1u}) {
    Wipe(cpu);
    parking_->Look();
  }
  const auto totals = *parking_->Spinning();
  EXPECT_EQ(totals.parks, 2u);
  EXPECT_EQ(totals.host_cpu_ns, 1000 + 4000);
  EXPECT_GT(totals.parked_ns, 0);
  EXPECT_LE(totals.parked_ns, 2 * (clock_.Now() - begin));
  const auto events = Events();  // Each has two at each end.
  ASSERT_EQ(events.size(), 8u);
  EXPECT_EQ(totals.parked_ns,
            events[4].ns - events[2].ns + events[6].ns - events[0].ns);
}

// No exit, so none that is wrong.
TEST_F(GuestParkingTest, APageThatIsWipedAtOnceStartsItsCpu) {
  PrepareAndPark(1);
  Wipe(1);
  parking_->Look();
  EXPECT_THAT(Faults(), IsEmpty());
  const auto events = Events();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_THAT(events[2].args, ElementsAre(1, 0, PageOfCpu(1)));
}

TEST_F(GuestParkingTest, WhatIsWrongIsNotedOnceAndWhere) {
  Prepare(1);
  Prepare(2);
  parking_->Look();
  Put(PageOfCpu(1), kEntry);
  off_ = 2;
  Park(2);
  for (int i = 0; i < 3; ++i) parking_->Look();
  const auto all = diagnoses_.All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].fault, ParkFault::kReleaseBeforePark);
  EXPECT_EQ(all[0].count, 1u);
  EXPECT_EQ(all[0].vcpu, 1u);
  EXPECT_EQ(all[0].place, PageOfCpu(1));
  EXPECT_EQ(all[0].value, kEntry);
  EXPECT_EQ(all[1].fault, ParkFault::kStaleMagic);
  EXPECT_EQ(all[1].count, 1u);
  EXPECT_EQ(all[1].vcpu, 2u);
  EXPECT_EQ(all[1].value, uint64_t{PARK_MAGIC});
}

// A page is prepared by its loop, with exit and magic cleared.
TEST_F(GuestParkingTest, OnlyAPageThatIsPreparedCanBeReleasedTooEarly) {
  parking_->Look();  // Page 1 is empty,
  Put(PageOfCpu(2) + PARK_PAGE_TEXT, kLoop);
  Put(PageOfCpu(2), kEntry);  // and page 2 has an exit from before.
  parking_->Look();
  Put(PageOfCpu(1), kEntry);
  for (int i = 0; i < 3; ++i) parking_->Look();
  EXPECT_THAT(Faults(), IsEmpty());
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(GuestParkingTest, ALoopThatIsTakenAwayAgainIsForgotten) {
  Prepare(1);
  parking_->Look();
  Wipe(1);
  parking_->Look();
  Put(PageOfCpu(1), kEntry);
  for (int i = 0; i < 3; ++i) parking_->Look();
  EXPECT_THAT(Faults(), IsEmpty());
}

// Another kernel's loop may come in the next round, or in a page of its own.
TEST_F(GuestParkingTest, OnlyTheLoopsOfOneRoundAreCompared) {
  PrepareAndPark(1);
  PrepareAndPark(2);
  for (const uint32_t cpu : {1u, 2u}) Wipe(cpu);
  parking_->Look();
  Prepare(1, kLoop + 1);
  parking_->Look();
  Park(1);
  parking_->Look();
  EXPECT_THAT(Faults(), IsEmpty());
  PrepareAndPark(2);
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kForeignLoop));
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 2u);
  EXPECT_EQ(diagnoses_.All()[0].value, kLoop);
  EXPECT_EQ(diagnoses_.All()[0].count, 1u);
}

TEST_F(GuestParkingTest, AForeignLoopIsNotedOncePerCpu) {
  PrepareAndPark(1);
  PrepareAndPark(2);
  Prepare(3, kLoop + 1);
  parking_->Look();
  Park(3);
  parking_->Look();
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kForeignLoop));
  EXPECT_EQ(diagnoses_.All()[0].count, 1u);  // Of two that it differs from.
}

TEST_F(GuestParkingTest, CpuZeroHasNoPageToSpinIn) {
  where_[0] = {PageOfCpu(1) + 0x18, false};
  parking_->OnCpuOnRefused(VcpuId{1}, 0);
  EXPECT_EQ(asked_, 0);
  EXPECT_THAT(Faults(), IsEmpty());
}

TEST_F(GuestParkingTest, CpuOnOfACpuBesideTheWindowIsNotNamed) {
  for (const uint64_t pc : {kPages - kParkGuard - 4, kPages + 2 * kParkGuard}) {
    where_[1] = {pc, false};
    parking_->OnCpuOnRefused(VcpuId{0}, 1);
  }
  EXPECT_EQ(asked_, 2);
  EXPECT_THAT(Faults(), IsEmpty());
  where_[1] = {kPages - kParkGuard, false};
  parking_->OnCpuOnRefused(VcpuId{0}, 1);
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kCpuOnWhileSpinning));
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 1u);
  EXPECT_EQ(diagnoses_.All()[0].place, PageOfCpu(1));
  EXPECT_EQ(diagnoses_.All()[0].value, kPages - kParkGuard);
}

// --- What takes its time -----------------------------------------------------

constexpr int64_t kLostNs = 100'000'000;  // As in guest_parking.cc.

// Each has left its loop without an MMU. One executes zeros, one is nowhere,
// and the others execute a word that is not all zeros.
TEST_F(GuestParkingTest, ACpuIsLostWhereNoInstructionIs) {
  constexpr uint64_t kCode = kRam + 0x10000;
  const int64_t begin = clock_.Now();
  for (const uint32_t cpu : {1u, 2u, 3u, 4u, 5u}) PrepareAndPark(cpu);
  for (const uint32_t cpu : {1u, 2u, 3u, 4u, 5u}) {
    Wipe(cpu);
    where_[cpu] = {kCode + 16 * cpu, false};
  }
  for (const uint32_t cpu : {1u, 2u, 3u, 4u}) {
    Put(kCode + 16 * cpu, uint64_t{1} << 8 * (cpu - 1));
  }
  where_[0] = {0, false};
  asked_ = 0;  // Of the time before.
  parking_->Look();
  LookUntil([this] { return asked_ == 5; });
  EXPECT_GE(clock_.Now() - begin, kLostNs);
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kReleaseLost));
  EXPECT_EQ(diagnoses_.All()[0].count, 1u);
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 5u);
  EXPECT_EQ(diagnoses_.All()[0].place, PageOfCpu(5));
  EXPECT_EQ(diagnoses_.All()[0].value, kCode + 16 * 5);
  for (int i = 0; i < 3; ++i) parking_->Look();
  EXPECT_EQ(asked_, 5);  // Once is enough.
}

TEST_F(GuestParkingTest, ACpuThatHasItsMmuOnIsNotLost) {
  PrepareAndPark(1);
  Wipe(1);
  parking_->Look();
  asked_ = 0;
  where_[1] = {0x200, true};
  LookUntil([this] { return asked_ == 1; });
  EXPECT_THAT(Faults(), IsEmpty());
}

// A page that is prepared again accuses nobody of the time before.
TEST_F(GuestParkingTest, ACpuThatParksAgainIsNotAsked) {
  PrepareAndPark(1);
  Wipe(1);
  parking_->Look();
  Prepare(1);
  asked_ = 0;
  where_[1] = {0x200, false};
  const int64_t begin = clock_.Now();
  while (clock_.Now() - begin <= 2 * kLostNs) parking_->Look();
  EXPECT_EQ(asked_, 0);
}

TEST_F(GuestParkingTest, AllAreAskedOnceInARound) {
  for (int round = 1; round <= 2; ++round) {
    asked_ = 0;
    const int64_t begin = clock_.Now();
    where_[1] = {PageOfCpu(1) + 0x18, false};
    PrepareAndPark(1);
    LookUntil([this] { return asked_ != 0; });
    EXPECT_GE(clock_.Now() - begin, kLostNs);
    parking_->Look();
    EXPECT_EQ(asked_, 6);
    where_[1] = {kEntry, true};
    Put(PageOfCpu(1), kEntry);
    parking_->Look();
    Wipe(1);
  }
  EXPECT_THAT(Faults(), IsEmpty());
}

TEST_F(GuestParkingTest, WhoIsInAWrongPageIsNamedWithIt) {
  where_[1] = {kPages - 0x1000 + 0x18, false};
  where_[2] = {kPages + kParkGuard + 0x1c, false};
  where_[3] = where_[4] = {PageOfCpu(3) + 0x20, false};
  where_[5] = {PageOfCpu(4), false};
  where_[0] = {kPages + 2 * kParkGuard, false};  // Not in the window at all.
  PrepareAndPark(1);
  LookUntil([this] { return asked_ == 6; });
  const auto all = diagnoses_.All();
  ASSERT_THAT(Faults(),
              ElementsAre(ParkFault::kPageShared, ParkFault::kPageOfCpu0,
                          ParkFault::kPagePastRegion));
  EXPECT_EQ(all[0].vcpu, 4u);
  EXPECT_EQ(all[0].place, PageOfCpu(3));
  EXPECT_EQ(all[0].value, PageOfCpu(3) + 0x20);
  EXPECT_EQ(all[0].count, 1u);
  EXPECT_EQ(all[1].vcpu, 1u);
  EXPECT_EQ(all[1].place, kPages - 0x1000);
  EXPECT_EQ(all[1].value, kPages - 0x1000 + 0x18);
  EXPECT_EQ(all[2].vcpu, 2u);
  EXPECT_EQ(all[2].place, kPages + kParkGuard);
  EXPECT_EQ(all[2].value, kPages + kParkGuard + 0x1c);
}

// CPU 0 has no page; CPU 2 is not parked for anybody; CPU 3's page says since
// the last look that it has left; CPU 4's MMU is off, and it is elsewhere.
TEST_F(GuestParkingTest, OnlyAMagicThatStandsIsForged) {
  for (const uint32_t cpu : {1u, 3u, 4u}) Prepare(cpu);
  parking_->Look();
  for (const uint32_t cpu : {0u, 1u, 2u, 3u}) {
    where_[cpu] = {0xffff800080001234, true};
  }
  where_[4] = {kEntry, false};
  on_ask_ = [this] { Put(PageOfCpu(3), kEntry); };
  for (const uint32_t cpu : {1u, 3u, 4u}) Park(cpu);
  LookUntil([this] { return asked_ == 6; });
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kMagicWithoutCpu));
  EXPECT_EQ(diagnoses_.All()[0].count, 1u);
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 1u);
  EXPECT_EQ(diagnoses_.All()[0].place, PageOfCpu(1));
  EXPECT_EQ(diagnoses_.All()[0].value, 0xffff800080001234u);
}

// A second after the first has come, or after its own page was prepared; only
// then is anybody waited for.
TEST_F(GuestParkingTest, ACpuIsMissedASecondAfterItCouldCome) {
  constexpr int64_t kMagicDeadlineNs = 1'000'000'000;
  Prepare(2);
  const int64_t prepared = clock_.Now();
  while (clock_.Now() - prepared <= kMagicDeadlineNs) parking_->Look();
  EXPECT_THAT(Faults(), IsEmpty());  // Nobody has parked.
  const int64_t parked = clock_.Now();
  PrepareAndPark(1);
  const int64_t late = clock_.Now();
  Prepare(3);
  LookUntil([this] { return !Faults().empty(); });
  EXPECT_GE(clock_.Now() - parked, kMagicDeadlineNs);
  LookUntil([this] { return diagnoses_.All()[0].count == 2; });
  EXPECT_GE(clock_.Now() - late, kMagicDeadlineNs);
  for (int i = 0; i < 3; ++i) parking_->Look();
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kCpuWithoutMagic));
  EXPECT_EQ(diagnoses_.All()[0].count, 2u);
  // A look in which the second is over may find either first.
  EXPECT_THAT(diagnoses_.All()[0].vcpu, testing::AnyOf(2u, 3u));
  EXPECT_EQ(diagnoses_.All()[0].value, kLoop);
}

// --- Its thread --------------------------------------------------------------

TEST_F(GuestParkingTest, ItsThreadEndsAtOnce) {
  parking_->Start();
  parking_->RequestStop();
  parking_->Join();
}

TEST_F(GuestParkingTest, ItsThreadEndsWithIt) {
  parking_->Start();
  parking_.reset();
}

// The thread looks again and again, and has a name for ps and top.
TEST_F(GuestParkingTest, ItsThreadSeesACpuParkAndLeave) {
  std::promise<std::string> parks, leaves;
  on_host_cpu_ns_ = [&, calls = 0]() mutable {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof(name));
    if (++calls == 1) parks.set_value(name);
    if (calls == 2) leaves.set_value(name);
  };
  Prepare(1);
  parking_->Start();
  Park(1);
  EXPECT_EQ(parks.get_future().get(), "park-watch");
  Put(PageOfCpu(1), kEntry);
  EXPECT_EQ(leaves.get_future().get(), "park-watch");
  parking_->RequestStop();
  parking_->Join();
  EXPECT_EQ(parking_->Spinning()->parks, 1u);
}

}  // namespace
}  // namespace vmm
