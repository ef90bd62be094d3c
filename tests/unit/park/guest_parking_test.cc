// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/guest_parking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>

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
           if (entry % 4 == 0) return std::nullopt;
           return ParkFault::kExitMisaligned;
         },
         .diagnoses = diagnoses_,
         .events = events_,
         .clock = clock_,
         .is_off = [this](uint32_t cpu) { return off_ == cpu; },
         .vcpus = {.ask = [this](uint32_t cpu) -> std::optional<Whereabouts> {
                     ++asked_;
                     const auto found = where_.find(cpu);
                     if (found == where_.end()) return std::nullopt;
                     return found->second;
                   },
                   .host_cpu_ns =
                       [this](uint32_t) { return used_ns_ += 1000; }}});
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
  void Wipe(uint32_t cpu) {
    for (const uint64_t offset : {0, 8, 16}) Put(PageOfCpu(cpu) + offset, 0);
  }
  void LookUntil(auto condition) {  // The hazard's own time has to pass.
    const int64_t end = clock_.Now() + 10'000'000'000;
    while (!condition() && clock_.Now() < end) parking_->Look();
  }
  std::vector<Event::Kind> Kinds() {
    std::vector<Event> events;
    events_.Drain(events);
    std::vector<Event::Kind> kinds;
    for (const Event& event : events) kinds.push_back(event.kind);
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
  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}, psci::Mpidr{2}}};
  DiagnosisLog diagnoses_;
  EventRing events_{-1};
  Clock clock_;
  std::map<uint32_t, Whereabouts> where_;
  int asked_ = 0;
  int64_t used_ns_ = 0;
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

TEST_F(GuestParkingTest, ItsThreadEndsAtOnce) {
  parking_->Start();
  parking_->RequestStop();
  parking_->Join();
}

}  // namespace
}  // namespace vmm
