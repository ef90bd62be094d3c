// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/host_parking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "psci-emul/park_abi.h"
#include "tests/support/fake_vcpu.h"

namespace vmm {
namespace {

using psci::Door;
using psci::ParkFault;
using psci::VcpuId;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x4000000;
constexpr uint64_t kPages = 0x40800000;
constexpr uint64_t kEntry = 0x40080000;
constexpr uint32_t kStoreMagic = 0xf9000401;  // str x1, [x0, #8]
constexpr uint32_t kStoreExit = 0xf9000062;   // str x2, [x3]
constexpr uint32_t kStorePair = 0xa900047f;   // stp xzr, x1, [x3]
constexpr uint32_t kZero = 0xd50b7423;        // dc zva, x3
constexpr uint32_t kStoreSimd = 0xad000460;   // stp q0, q1, [x3]

constexpr uint64_t PageOfCpu(uint32_t cpu) {
  return kPages + 0x1000 * (uint64_t{cpu} - 1);
}

const ParkPlacement kSmall = {
    *GuestRange::Make(GuestAddress(kPages - kParkGuard), 3 * kParkGuard),
    *GuestRange::Make(GuestAddress(kPages), kParkGuard)};

// Four CPUs whose code the test writes; the MMU is off, so every address is
// physical, and what the guest does is done to memory by the test.
class HostParkingTest : public testing::Test {
 protected:
  void SetUp() override { SetUpIn(kSmall); }
  void SetUpIn(const ParkPlacement& placement) {
    parking_.reset();
    vcpus_.clear();
    auto parking = HostParking::Create(
        placement, {.memory = memory_,
                    .power = power_,
                    .slots = slots_,
                    .judge = [](uint64_t entry) -> std::optional<ParkFault> {
                      if (entry == kEntry) return std::nullopt;
                      return ParkFault::kExitNotRam;
                    },
                    .diagnoses = diagnoses_,
                    .events = events_,
                    .clock = clock_,
                    .vcpus = {.nudge = [this](uint32_t cpu) {
                      nudged_.push_back(cpu);
                      if (on_nudge_) on_nudge_(cpu);
                    }}});
    ASSERT_TRUE(parking.ok()) << parking.status();
    parking_ = *std::move(parking);
    for (uint32_t i = 0; i < 4; ++i) {
      vcpus_.push_back(std::make_unique<FakeVcpu>(i));
      if (power_.PowerOn(VcpuId{i}, {})) {
        ASSERT_TRUE(power_.AwaitBoot(VcpuId{i}).has_value());
      }
    }
  }
  void Put(uint64_t address, const void* from, size_t size) {
    uint8_t bytes[8];
    std::memcpy(bytes, from, size);
    auto* const at = static_cast<uint8_t*>(
        *memory_.HostRange(*GuestRange::Make(GuestAddress(address), size)));
    std::memcpy(at, bytes, size);
  }
  uint64_t Get(uint64_t address) const {
    uint8_t bytes[8];
    EXPECT_TRUE(memory_.Read(GuestAddress(address), bytes).ok());
    uint64_t value;
    std::memcpy(&value, bytes, 8);
    return value;
  }
  // The old kernel: any store opens the window; then it writes as it likes.
  void Prepare() {
    const auto opened = StoreAt(0, kEntry, kStoreSimd, kPages, 0);
    ASSERT_TRUE(opened.ok()) << opened.status();
    for (uint32_t cpu = 1; cpu < 4; ++cpu) {
      Put(PageOfCpu(cpu) + PARK_PAGE_TEXT, &kStoreMagic, 4);
    }
  }
  // CPU `self` runs into `instruction` at `pc`, for [x3 or x0] = `address`.
  absl::StatusOr<Parking::StoreOutcome> StoreAt(
      uint32_t self, uint64_t pc, uint32_t instruction, uint64_t address,
      uint64_t value, VcpuExit exit = StoreRefused{}) {
    FakeVcpu& vcpu = *vcpus_[self];
    if (pc == kEntry) Put(pc, &instruction, 4);
    vcpu.pc = pc;
    vcpu.x[0] = vcpu.x[3] = address;
    vcpu.x[1] = PARK_MAGIC;
    vcpu.x[2] = value;
    return parking_->OnStore(VcpuId{self}, vcpu, exit);
  }
  void Park(uint32_t cpu, uint64_t page) {
    const auto outcome =
        StoreAt(cpu, page + PARK_PAGE_TEXT, kStoreMagic, page, 0,
                DebugStop{DebugStop::Kind::kWatchedStore, page + 8});
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    ASSERT_TRUE(outcome->parks);
    ASSERT_FALSE(power_.PowerOff(VcpuId{cpu}, Door::kPage));
    ASSERT_TRUE(parking_->Left(VcpuId{cpu}, Door::kPage).ok());
  }
  void ParkAll() {
    for (const uint32_t cpu : {1u, 2u, 3u}) {
      Park(cpu, PageOfCpu(cpu));
      ASSERT_TRUE(parking_->WhileOff(VcpuId{cpu}, *vcpus_[cpu]).ok());
    }
  }
  void Starts(uint32_t cpu) {
    ASSERT_TRUE(power_.AwaitBoot(VcpuId{cpu}).has_value());
    parking_->Entered(VcpuId{cpu});
  }
  // Whether the CPU, which is about to run, sets its watchpoint first.
  bool WatchesBeforeRun(uint32_t cpu) {
    const size_t before = vcpus_[cpu]->calls().size();
    EXPECT_TRUE(parking_->BeforeRun(VcpuId{cpu}, *vcpus_[cpu]).ok());
    return vcpus_[cpu]->calls().size() > before;
  }
  void Release(uint32_t cpu, uint64_t entry) {
    const auto outcome = StoreAt(0, kEntry, kStoreExit, PageOfCpu(cpu), entry);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_FALSE(outcome->parks);
  }
  std::vector<ParkFault> Faults() const {
    std::vector<ParkFault> faults;
    for (const Diagnosis& diagnosis : diagnoses_.All()) {
      faults.push_back(diagnosis.fault);
    }
    return faults;
  }

  GuestMemory memory_ =
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize));
  psci::PowerTable power_{
      {psci::Mpidr{0}, psci::Mpidr{1}, psci::Mpidr{2}, psci::Mpidr{3}}};
  psci::ParkSlots slots_{power_, [](uint64_t) { return std::nullopt; }};
  DiagnosisLog diagnoses_;
  EventLog events_{{0, 1, 2, 3}};
  Clock clock_;
  std::vector<uint32_t> nudged_;
  // By default a vCPU comes back at once and runs again.
  const std::function<void(uint32_t)> runs_again_ = [this](uint32_t cpu) {
    EXPECT_TRUE(parking_->BeforeRun(VcpuId{cpu}, *vcpus_[cpu]).ok());
  };
  std::function<void(uint32_t)> on_nudge_ = runs_again_;
  std::unique_ptr<HostParking> parking_;
  std::vector<std::unique_ptr<FakeVcpu>> vcpus_;
};

TEST_F(HostParkingTest, AReleaseStartsTheCpuAtItsAddressWithItsPage) {
  Prepare();
  Park(1, PageOfCpu(1));
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_MAGIC), PARK_MAGIC);
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOff);
  Release(1, kEntry);
  EXPECT_EQ(power_.AwaitBoot(VcpuId{1}),
            (psci::BootContext{kEntry, PageOfCpu(1)}));
  parking_->Entered(VcpuId{1});
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_EXIT), 0u);
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_MAGIC), 0u);
  EXPECT_THAT(Faults(), IsEmpty());
}

TEST_F(HostParkingTest, AReleasedPageIsPlainRamWhileOthersAreParked) {
  Prepare();
  Park(1, PageOfCpu(1));
  Park(2, PageOfCpu(2));
  Release(1, kEntry);
  const auto wipe = StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0);
  ASSERT_TRUE(wipe.ok());
  const uint64_t zero = 0;
  Put(PageOfCpu(1) + PARK_PAGE_TEXT, &zero, 8);  // Or this dies of SIGSEGV.
  EXPECT_EQ(power_.StateOf(VcpuId{2}), psci::PowerState::kOff);
  Release(2, kEntry);
  EXPECT_EQ(power_.AwaitBoot(VcpuId{2})->context_id, PageOfCpu(2));
}

TEST_F(HostParkingTest, ParkedPagesCannotBeWritten) {
  Prepare();
  Park(1, PageOfCpu(1));
  const uint64_t zero = 0;
  EXPECT_DEATH(Put(PageOfCpu(1), &zero, 8), "");
}

// Room for 512 CPUs, at every page size a guest can have; a next kernel may
// have another one than the first.
TEST_F(HostParkingTest, LargePagesMakeALargeWindow) {
  for (const uint64_t page : {4096u, 16384u, 65536u}) {
    const uint64_t size = 512 * page;
    SetUpIn({*GuestRange::Make(GuestAddress(kPages - kParkGuard),
                               size + 2 * kParkGuard),
             *GuestRange::Make(GuestAddress(kPages), size)});
    for (const uint64_t stride : {page, uint64_t{4096}}) {
      Prepare();
      const uint64_t last = kPages + size - stride;
      Put(last + PARK_PAGE_TEXT, &kStoreMagic, 4);
      Put(last - stride + PARK_PAGE_TEXT, &kStoreMagic, 4);
      Park(1, last);
      Park(2, last - stride);
      for (const auto& [cpu, at] : {std::pair(1u, last), {2u, last - stride}}) {
        ASSERT_TRUE(StoreAt(0, kEntry, kStoreExit, at, kEntry).ok());
        EXPECT_EQ(power_.AwaitBoot(VcpuId{cpu}),
                  (psci::BootContext{kEntry, at}));
        parking_->Entered(VcpuId{cpu});
      }
      EXPECT_THAT(Faults(), IsEmpty());
    }
  }
}

TEST_F(HostParkingTest, ABadExitLeavesItParkedUntilAGoodOneComes) {
  Prepare();
  Park(1, PageOfCpu(1));
  Release(1, 0x123);
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOff);
  EXPECT_EQ(Get(PageOfCpu(1)), 0u);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kExitNotRam));
  Release(1, kEntry);
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
}

TEST_F(HostParkingTest, ASecondReleaseDoesNothing) {
  Prepare();
  Park(1, PageOfCpu(1));
  Park(2, PageOfCpu(2));
  Release(1, kEntry);
  Release(1, kEntry);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kDoubleRelease));
  EXPECT_EQ(Get(PageOfCpu(1)), 0u);
}

// Once the window is open, a store is seen by looking only.
TEST_F(HostParkingTest, ASecondReleaseThatNobodySawIsFoundAndTakenAway) {
  Prepare();
  Park(1, PageOfCpu(1));
  Release(1, kEntry);
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(2), 0).ok());
  Put(PageOfCpu(1), &kEntry, 8);
  parking_->Inspect();
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kDoubleRelease));
  EXPECT_EQ(Get(PageOfCpu(1)), 0u);
}

TEST_F(HostParkingTest, AnExitThatWasThereFirstReleasesAtOnce) {
  Prepare();
  Put(PageOfCpu(1), &kEntry, 8);
  Park(1, PageOfCpu(1));
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kReleaseBeforePark));
}

TEST_F(HostParkingTest, AReleaseBetweenMagicAndOffIsNotLost) {
  Prepare();
  const uint64_t page = PageOfCpu(1);
  const auto in = StoreAt(1, page + PARK_PAGE_TEXT, kStoreMagic, page, 0);
  ASSERT_TRUE(in.ok() && in->parks);
  Release(1, kEntry);  // The CPU is still on.
  ASSERT_FALSE(power_.PowerOff(VcpuId{1}, Door::kPage));
  ASSERT_TRUE(parking_->Left(VcpuId{1}, Door::kPage).ok());
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
}

TEST_F(HostParkingTest, CpuOnTakesTheMagicAndTheLoopAway) {
  Prepare();
  Park(1, PageOfCpu(1));
  ASSERT_TRUE(power_.PowerOn(VcpuId{1}, {kEntry, 5}));
  ASSERT_EQ(power_.AwaitBoot(VcpuId{1}), (psci::BootContext{kEntry, 5}));
  parking_->Entered(VcpuId{1});
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_MAGIC), 0u);
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_TEXT), 0u);
  Release(1, kEntry);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kDoubleRelease));
}

TEST_F(HostParkingTest, TheSecondCpuOfAPageIsNoted) {
  Prepare();
  Park(1, PageOfCpu(1));
  Park(2, PageOfCpu(1));
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kPageShared));
  Release(1, kEntry);
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
  EXPECT_EQ(power_.StateOf(VcpuId{2}), psci::PowerState::kOff);
}

TEST_F(HostParkingTest, PagesBesideTheRegionAreNoted) {
  Prepare();
  const uint64_t before = kPages - 0x1000;
  const uint64_t behind = kPages + kParkGuard;
  for (const uint64_t page : {before, behind}) {
    Put(page + PARK_PAGE_TEXT, &kStoreMagic, 4);
  }
  Park(1, before);
  Park(2, behind);
  EXPECT_THAT(Faults(),
              ElementsAre(ParkFault::kPageOfCpu0, ParkFault::kPagePastRegion));
}

TEST_F(HostParkingTest, AMagicFromElsewhereParksNobody) {
  Prepare();
  const auto forged =
      StoreAt(2, kEntry, kStoreMagic, PageOfCpu(1), 0,
              DebugStop{DebugStop::Kind::kWatchedStore, PageOfCpu(1) + 8});
  ASSERT_TRUE(forged.ok());
  EXPECT_FALSE(forged->parks);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kMagicWithoutCpu));
}

TEST_F(HostParkingTest, AMagicThatNobodySawStoredIsFound) {
  Prepare();
  const uint64_t magic = PARK_MAGIC;
  Put(PageOfCpu(3) + PARK_PAGE_MAGIC, &magic, 8);
  parking_->Inspect();
  parking_->Inspect();
  ASSERT_EQ(diagnoses_.All().size(), 1u);
  EXPECT_EQ(diagnoses_.All()[0].count, 1u);
  EXPECT_EQ(diagnoses_.All()[0].place, PageOfCpu(3));
}

TEST_F(HostParkingTest, AnotherLoopThanTheFirstIsNoted) {
  Prepare();
  const uint64_t other = 0xd503201ff9000401;
  Put(PageOfCpu(2) + PARK_PAGE_TEXT, &other, 8);
  Park(1, PageOfCpu(1));
  Park(2, PageOfCpu(2));
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kForeignLoop));
}

TEST_F(HostParkingTest, CpuOnLeavesALoopThatSomebodyElsePutThere) {
  Prepare();
  Park(1, PageOfCpu(1));
  const uint64_t text = PageOfCpu(1) + PARK_PAGE_TEXT;
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreExit, text, 0x55).ok());
  ASSERT_TRUE(power_.PowerOn(VcpuId{1}, {kEntry, 5}));
  parking_->Entered(VcpuId{1});
  EXPECT_EQ(Get(text), 0x55u);
}

// A release that cannot be read, of another CPU: nobody's loop has changed.
TEST_F(HostParkingTest, CpuOnTakesTheLoopAwayAfterAStoreThatWasSteppedOver) {
  Prepare();
  Park(1, PageOfCpu(1));
  Park(2, PageOfCpu(2));
  vcpus_[0]->Then(DebugStop{DebugStop::Kind::kStepped});
  vcpus_[0]->on_run = [&] { Put(PageOfCpu(2), &kEntry, 8); };
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(2), kEntry).ok());
  ASSERT_EQ(power_.StateOf(VcpuId{2}), psci::PowerState::kOnPending);
  ASSERT_TRUE(power_.PowerOn(VcpuId{1}, {kEntry, 5}));
  parking_->Entered(VcpuId{1});
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_TEXT), 0u);
}

TEST_F(HostParkingTest, WritingOverAParkedCpusLoopIsNotedAndHarmless) {
  Prepare();
  Park(1, PageOfCpu(1));
  const auto store =
      StoreAt(0, kEntry, kStoreExit, PageOfCpu(1) + PARK_PAGE_TEXT, 0x55);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_TEXT), 0x55u);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kPageRewritten));
  Release(1, kEntry);
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
}

TEST_F(HostParkingTest, AReleasedCpuStartsWithoutWatching) {
  Prepare();
  ParkAll();
  nudged_.clear();
  for (const uint32_t cpu : {1u, 2u, 3u}) {
    Release(cpu, kEntry);
    Starts(cpu);
    EXPECT_FALSE(WatchesBeforeRun(cpu));
    EXPECT_EQ(vcpus_[cpu]->calls().back(), "end debug");
  }
  EXPECT_DEATH(Put(PageOfCpu(1), &kEntry, 8), "");
  EXPECT_THAT(nudged_, IsEmpty());
}

TEST_F(HostParkingTest, ACpuThatIsTurnedOnWhileOthersPrepareWatches) {
  Prepare();
  Park(1, PageOfCpu(1));
  ASSERT_TRUE(parking_->WhileOff(VcpuId{1}, *vcpus_[1]).ok());
  ASSERT_TRUE(power_.PowerOn(VcpuId{1}, {kEntry, 5}));
  Starts(1);
  EXPECT_TRUE(WatchesBeforeRun(1));
}

// Each wipe opens the window, the next release closes it.
TEST_F(HostParkingTest, AWipeWaitsForTheCpuThatHasLeftThePage) {
  Prepare();
  ParkAll();
  std::vector<std::jthread> heard;
  on_nudge_ = [this, &heard](uint32_t cpu) {
    EXPECT_DEATH(Put(PageOfCpu(cpu), &kEntry, 8), "");  // Not opened yet.
    heard.emplace_back([this, cpu] { EXPECT_TRUE(WatchesBeforeRun(cpu)); });
  };
  for (const uint32_t cpu : {1u, 2u, 3u}) {
    nudged_.clear();
    Release(cpu, kEntry);
    Starts(cpu);
    ASSERT_TRUE(StoreAt(0, kEntry, kZero, PageOfCpu(cpu), 0).ok());
    EXPECT_THAT(nudged_, ElementsAre(cpu));
    const uint64_t zero = 0;
    Put(PageOfCpu(cpu) + PARK_PAGE_TEXT, &zero, 8);
    // Only that page, unless nobody is parked any more.
    if (cpu == 1) {
      EXPECT_DEATH(Put(PageOfCpu(4) + PARK_PAGE_TEXT, &zero, 8), "");
      ASSERT_TRUE(StoreAt(0, kEntry, kZero, PageOfCpu(4), 0).ok());
    }
    if (cpu != 2) Put(PageOfCpu(4) + PARK_PAGE_TEXT, &zero, 8);
  }
  EXPECT_THAT(Faults(), IsEmpty());
}

// A watched store that cannot be read: it must get through, and be seen.
TEST_F(HostParkingTest, AWatchedStoreIntoTheClosedWindowComesBackToAnOpenOne) {
  Prepare();
  ParkAll();
  const DebugStop watched{DebugStop::Kind::kWatchedStore, PageOfCpu(1)};
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0, watched).ok());
  vcpus_[0]->Then(DebugStop{DebugStop::Kind::kStepped});
  vcpus_[0]->on_run = [&] { Put(PageOfCpu(1), &kEntry, 8); };
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0, watched).ok());
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
}

// The guest steps over what cannot be read; the fake's step stores nothing, so
// the test stores for it while the window is open.
TEST_F(HostParkingTest, AReleaseByAnyOtherInstructionIsSteppedOver) {
  Prepare();
  Park(1, PageOfCpu(1));
  vcpus_[0]->Then(DebugStop{DebugStop::Kind::kStepped});
  vcpus_[0]->on_run = [&] { Put(PageOfCpu(1), &kEntry, 8); };
  const auto pair = StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), kEntry);
  // The first time, all that is vacant is opened; then it comes back.
  ASSERT_TRUE(pair.ok());
  const auto again = StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), kEntry);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
  EXPECT_EQ(Get(PageOfCpu(1)), 0u);
}

// {exit = 0; magic = M}, as a compiler writes it.
TEST_F(HostParkingTest, APairOfStoresParksAsWell) {
  Prepare();
  const uint64_t page = PageOfCpu(1);
  Put(page + PARK_PAGE_TEXT, &kStorePair, 4);
  const auto in = StoreAt(1, page + PARK_PAGE_TEXT, kStorePair, page, 0);
  ASSERT_TRUE(in.ok());
  EXPECT_TRUE(in->parks);
  EXPECT_EQ(Get(page + PARK_PAGE_MAGIC), 0u);  // Not before it is off.
}

// The guest makes the instruction that is stepped over a WFI: the fake runs
// until it is nudged. Everybody else goes on, and calls it back.
class HostParkingStepTest : public HostParkingTest {
 protected:
  // CPU 0 steps over an instruction that does not end, on a thread of its own.
  void BeginStep() {
    Prepare();
    Park(1, PageOfCpu(1));
    Park(2, PageOfCpu(2));
    nudged_.clear();
    on_nudge_ = [this](uint32_t cpu) { vcpus_[cpu]->Nudge(); };
    std::promise<void> runs;
    vcpus_[0]->on_run = [&runs, once = std::make_shared<bool>(false)] {
      if (!std::exchange(*once, true)) runs.set_value();
    };
    stepper_ = std::jthread([this] {
      const auto outcome = StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), kEntry);
      EXPECT_TRUE(outcome.ok()) << outcome.status();
      EXPECT_TRUE(outcome->then &&
                  std::holds_alternative<Interrupted>(*outcome->then));
    });
    ASSERT_EQ(runs.get_future().wait_for(kLimit), std::future_status::ready);
  }
  static constexpr std::chrono::seconds kLimit{5};
  std::jthread stepper_;
};

TEST_F(HostParkingStepTest, AnInspectionEndsAStepThatLasts) {
  BeginStep();
  // However long that takes here: none of these waits for the step.
  while (nudged_.empty()) parking_->Inspect();
  stepper_.join();
  EXPECT_THAT(nudged_, Contains(0u));
}

TEST_F(HostParkingStepTest, AReleaseByAnotherCpuEndsAStepThatLasts) {
  BeginStep();
  Put(kEntry + 4, &kStoreExit, 4);
  const auto release = StoreAt(3, kEntry + 4, kStoreExit, PageOfCpu(2), kEntry);
  ASSERT_TRUE(release.ok()) << release.status();
  EXPECT_EQ(power_.StateOf(VcpuId{2}), psci::PowerState::kOnPending);
  stepper_.join();
}

TEST_F(HostParkingStepTest, ACpuThatParksEndsAStepThatLasts) {
  BeginStep();
  Park(3, PageOfCpu(3));
  EXPECT_EQ(Get(PageOfCpu(3) + PARK_PAGE_MAGIC), PARK_MAGIC);
  stepper_.join();
}

TEST_F(HostParkingStepTest, AStopWaitsForNoStep) {
  BeginStep();
  vcpus_[0]->Kick();
  parking_->RequestStop();
  stepper_.join();
}

// Nobody wakes those who wait for the window but the stop.
TEST_F(HostParkingStepTest, AStopEndsTheWaitForAStep) {
  BeginStep();
  on_nudge_ = nullptr;
  auto waits = std::async(std::launch::async, [this] {
    Put(kEntry + 4, &kStoreExit, 4);
    return StoreAt(3, kEntry + 4, kStoreExit, PageOfCpu(2), kEntry);
  });
  parking_->RequestStop();
  const auto outcome = waits.get();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(power_.StateOf(VcpuId{2}), psci::PowerState::kOff);
  vcpus_[0]->Kick();
}

TEST_F(HostParkingTest, AnEfaultThatIsNotOursIsNotRetriedForEver) {
  Prepare();
  vcpus_[0]->Then(StoreRefused{});
  EXPECT_FALSE(StoreAt(0, kEntry, kStoreSimd, kEntry, 0).ok());
}

// Before the first store of all, every other CPU that is on is called out of
// the guest.
TEST_F(HostParkingTest, TheFirstStoreWaitsUntilAllWatch) {
  // CPU 2 is off: nobody waits for it.
  ASSERT_FALSE(power_.PowerOff(VcpuId{2}, Door::kCpuOff));
  std::vector<std::jthread> heard;
  on_nudge_ = [this, &heard](uint32_t cpu) {
    heard.emplace_back([this, cpu] { EXPECT_TRUE(WatchesBeforeRun(cpu)); });
  };
  for (const uint32_t cpu : {0u, 1u, 2u, 3u}) {
    EXPECT_FALSE(WatchesBeforeRun(cpu));
  }
  Prepare();
  EXPECT_THAT(nudged_, ElementsAre(1u, 3u));
  EXPECT_FALSE(WatchesBeforeRun(0));  // It watches already.
  EXPECT_TRUE(WatchesBeforeRun(2));
}

}  // namespace
}  // namespace vmm
