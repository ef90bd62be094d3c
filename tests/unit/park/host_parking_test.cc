// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/host_parking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

constexpr uint32_t kStoreMagicWord = 0xb9000801;    // str w1, [x0, #8]
constexpr uint32_t kStoreMagicToText = 0xf9000801;  // str x1, [x0, #16]
constexpr uint32_t kStoreExitWord = 0xb9000062;     // str w2, [x3]
constexpr uint32_t kStoreExitAndX1 = 0xa9000462;    // stp x2, x1, [x3]
constexpr uint64_t kMpidrOfCpu3 = 0x2500000003;

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
  // Whether the guest could write there; what is there then is not to count.
  bool GuestWrites(uint64_t address) const {
    return getrandom(HostOf(address), 1, 0) == 1;
  }
  void* HostOf(uint64_t address) const {
    return *memory_.HostRange(*GuestRange::Make(GuestAddress(address), 1));
  }
  // From now on the host cannot protect this page of its own any more.
  void TakeAwayFromTheHost(uint64_t page) {
    ASSERT_EQ(munmap(HostOf(page), GuardedWindow::HostPage()), 0);
  }
  std::vector<Event> EventsOf(uint32_t thread) {
    std::vector<Event> events;
    events_.ring(thread).Drain(events);
    return events;
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
  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}, psci::Mpidr{2},
                           psci::Mpidr{kMpidrOfCpu3}}};
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

// Whoever inspects sleeps when it is not, and a store wakes it up.
TEST_F(HostParkingTest, IsToBeInspectedWhileACpuIsParkedOrAPageIsWritable) {
  EXPECT_FALSE(parking_->Inspect());
  EXPECT_TRUE(events_.Sleep());
  Prepare();
  EXPECT_FALSE(events_.IsAsleep());
  Park(1, PageOfCpu(1));
  EXPECT_TRUE(parking_->Inspect());
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

// --- What is told -----------------------------------------------------------

TEST_F(HostParkingTest, EventsSayWhoseThreadItWasAndWhoStored) {
  const int64_t begin = clock_.Now();
  Prepare();
  Park(3, PageOfCpu(3));
  Release(3, kEntry);
  const auto parked = EventsOf(3);
  ASSERT_EQ(parked.size(), 1u);
  EXPECT_EQ(parked[0].kind, Event::Kind::kParkStore);
  EXPECT_EQ(parked[0].vcpu, 3u);
  EXPECT_EQ(parked[0].arguments, 1);
  EXPECT_THAT(parked[0].args, ElementsAre(PageOfCpu(3), 0, 0));
  EXPECT_GE(parked[0].ns, begin);
  const auto released = EventsOf(0);
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].kind, Event::Kind::kReleaseStore);
  EXPECT_EQ(released[0].vcpu, 0u);
  EXPECT_EQ(released[0].arguments, 3);
  EXPECT_THAT(released[0].args,
              ElementsAre(kMpidrOfCpu3, kEntry, PageOfCpu(3)));
  EXPECT_GE(released[0].ns, parked[0].ns);
}

TEST_F(HostParkingTest, AFaultSaysWhoWhereAndWhat) {
  Prepare();
  Park(1, PageOfCpu(1));
  Release(1, 0x123);
  Release(1, kEntry);
  Release(1, kEntry + 8);
  const uint64_t before = kPages - 0x1000;
  ASSERT_TRUE(StoreAt(0, kEntry, kZero, before, 0).ok());
  Put(before + PARK_PAGE_TEXT, &kStoreMagic, 4);
  Park(2, before);
  const auto all = diagnoses_.All();
  ASSERT_THAT(Faults(),
              ElementsAre(ParkFault::kDoubleRelease, ParkFault::kExitNotRam,
                          ParkFault::kPageOfCpu0));
  EXPECT_EQ(all[0].vcpu, 0u);  // Who released it again.
  EXPECT_EQ(all[0].place, PageOfCpu(1));
  EXPECT_EQ(all[0].value, kEntry + 8);
  EXPECT_EQ(all[1].vcpu, 1u);  // Who stays parked.
  EXPECT_EQ(all[1].place, PageOfCpu(1));
  EXPECT_EQ(all[1].value, 0x123u);
  EXPECT_EQ(all[2].vcpu, 2u);
  EXPECT_EQ(all[2].place, before);
  EXPECT_EQ(all[2].value, uint64_t{PARK_MAGIC});
}

// The thread that closes the pages does it for all that come meanwhile; an exit
// that it finds was there for the CPU of the page.
TEST_F(HostParkingTest, AnExitThatAnotherThreadFindsIsTheCpusOwn) {
  const auto end = clock_.Now() + 20'000'000'000;
  for (bool found = false; !found && clock_.Now() < end;) {
    Prepare();
    Put(PageOfCpu(1), &kEntry, 8);
    for (const uint32_t cpu : {1u, 2u}) {
      const uint64_t page = PageOfCpu(cpu);
      const auto in = StoreAt(cpu, page + PARK_PAGE_TEXT, kStoreMagic, page, 0);
      ASSERT_TRUE(in.ok() && in->parks);
      ASSERT_FALSE(power_.PowerOff(VcpuId{cpu}, Door::kPage));
      EventsOf(cpu);
    }
    auto left = std::async(std::launch::async, [this] {
      return parking_->Left(VcpuId{1}, Door::kPage);
    });
    ASSERT_TRUE(parking_->Left(VcpuId{2}, Door::kPage).ok());
    ASSERT_TRUE(left.get().ok());
    ASSERT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
    const auto first = EventsOf(1), second = EventsOf(2);
    ASSERT_EQ(first.size() + second.size(), 1u);
    EXPECT_EQ((first.empty() ? second : first)[0].vcpu, 1u);
    found = !second.empty();
    Release(2, kEntry);
    for (const uint32_t cpu : {1u, 2u}) Starts(cpu);
    ASSERT_THAT(Faults(), ElementsAre(ParkFault::kReleaseBeforePark));
    EXPECT_EQ(diagnoses_.All()[0].vcpu, 1u);
  }
}

TEST_F(HostParkingTest, ASlotIsToldThatItsCpuIsOn) {
  constexpr uint64_t kSlot = PARK_DEVICE_STRIDE;
  slots_.Write(VcpuId{1}, kSlot + PARK_REG_MAGIC, 8, PARK_MAGIC);
  ASSERT_FALSE(power_.PowerOff(VcpuId{1}, Door::kDevice));
  ASSERT_TRUE(parking_->Left(VcpuId{1}, Door::kDevice).ok());
  ASSERT_TRUE(power_.PowerOn(VcpuId{1}, {}));
  EXPECT_EQ(slots_.Read(kSlot + PARK_REG_ACK, 8), 0u);
  Starts(1);
  EXPECT_EQ(slots_.Read(kSlot + PARK_REG_ACK, 8), 1u);
}

// --- What is open -----------------------------------------------------------

TEST_F(HostParkingTest, NothingIsOpenUntilTheFirstStore) {
  EXPECT_FALSE(GuestWrites(kPages));
  EXPECT_FALSE(GuestWrites(kPages - kParkGuard));
  EXPECT_FALSE(GuestWrites(kPages + 2 * kParkGuard - 1));
  EXPECT_TRUE(GuestWrites(kPages - kParkGuard - 1));
  EXPECT_TRUE(GuestWrites(kPages + 2 * kParkGuard));
  Prepare();
  EXPECT_TRUE(GuestWrites(kPages - kParkGuard));
  EXPECT_TRUE(GuestWrites(kPages + 2 * kParkGuard - 1));
}

// Until all have come but the one that sends them away: then nobody writes any
// more.
TEST_F(HostParkingTest, APageIsClosedWhenItsCpuComesAndAllWhenTheLastHasCome) {
  Prepare();
  Park(1, PageOfCpu(1));
  EXPECT_FALSE(GuestWrites(PageOfCpu(1)));
  EXPECT_TRUE(GuestWrites(PageOfCpu(5)));
  Park(2, PageOfCpu(2));
  EXPECT_FALSE(GuestWrites(PageOfCpu(2)));
  EXPECT_TRUE(GuestWrites(PageOfCpu(5)));
  Park(3, PageOfCpu(3));
  EXPECT_FALSE(GuestWrites(PageOfCpu(5)));
}

TEST_F(HostParkingTest, CpuOffClosesNothing) {
  Prepare();
  for (const uint32_t cpu : {1u, 2u, 3u}) {
    ASSERT_FALSE(power_.PowerOff(VcpuId{cpu}, Door::kCpuOff));
    ASSERT_TRUE(parking_->Left(VcpuId{cpu}, Door::kCpuOff).ok());
  }
  EXPECT_TRUE(GuestWrites(PageOfCpu(1)));
}

TEST_F(HostParkingTest, AStoreToAVacantPageOpensIt) {
  Prepare();
  ParkAll();
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreExit, PageOfCpu(4) + 64, 0x77).ok());
  EXPECT_EQ(Get(PageOfCpu(4) + 64), 0x77u);
  EXPECT_TRUE(GuestWrites(PageOfCpu(4)));
  EXPECT_FALSE(GuestWrites(PageOfCpu(5)));
  EXPECT_EQ(vcpus_[0]->calls().back(), "pc = 0x40080004");
}

TEST_F(HostParkingTest, AStoreToAnOccupiedPageOpensNothing) {
  Prepare();
  ParkAll();
  for (const unsigned offset : {PARK_PAGE_MAGIC + 0u, PARK_PAGE_TEXT + 0u}) {
    ASSERT_TRUE(
        StoreAt(0, kEntry, kStoreExit, PageOfCpu(1) + offset, 0x55).ok());
    EXPECT_EQ(Get(PageOfCpu(1) + offset), 0x55u);
  }
  EXPECT_FALSE(GuestWrites(PageOfCpu(4)));
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kPageRewritten));
  EXPECT_EQ(diagnoses_.All()[0].count, 2u);
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 1u);
  EXPECT_EQ(diagnoses_.All()[0].value, 0x55u);
}

TEST_F(HostParkingTest, AStepLeavesClosedWhatWasClosed) {
  Prepare();
  Park(1, PageOfCpu(1));
  bool was_open = false;
  vcpus_[0]->Then(DebugStop{DebugStop::Kind::kStepped});
  vcpus_[0]->on_run = [&] { was_open = GuestWrites(PageOfCpu(1) + 64); };
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1) + 64, 0).ok());
  EXPECT_TRUE(was_open);
  EXPECT_FALSE(GuestWrites(PageOfCpu(1)));
  EXPECT_TRUE(GuestWrites(PageOfCpu(2)));
  // It watches as before.
  const auto calls = vcpus_[0]->calls();
  ASSERT_GE(calls.size(), 3u);
  EXPECT_THAT(std::vector(calls.end() - 3, calls.end()),
              ElementsAre("step", "run", testing::StartsWith("watch ")));
}

// --- What parks, and what does not ------------------------------------------

TEST_F(HostParkingTest, OnlyAMagicOf64BitsInItsPlaceParks) {
  Prepare();
  const uint64_t page = PageOfCpu(1);
  struct Case {
    uint32_t instruction;
    uint64_t x0;
    uint64_t x1;
    bool parks;
  };
  for (const Case& c : {Case{kStoreMagicWord, page, PARK_MAGIC, false},
                        Case{kStoreMagicToText, page, PARK_MAGIC, false},
                        Case{kStoreMagic, page, PARK_MAGIC + 1, false},
                        Case{kStoreMagic, page + 8, PARK_MAGIC, false},
                        Case{kStoreMagic, kEntry + 0x1000, PARK_MAGIC, false},
                        Case{kStoreMagic, page, PARK_MAGIC, true}}) {
    Put(page + 0x40, &c.instruction, 4);
    FakeVcpu& vcpu = *vcpus_[1];
    vcpu.Then(DebugStop{DebugStop::Kind::kStepped});
    vcpu.pc = page + 0x40;
    vcpu.x[0] = c.x0;
    vcpu.x[1] = c.x1;
    const auto outcome = parking_->OnStore(VcpuId{1}, vcpu, StoreRefused{});
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->parks, c.parks) << std::hex << c.instruction;
    EXPECT_EQ(EventsOf(1).size(), c.parks ? 1u : 0u);
  }
}

// A store that cannot be read parks the CPU of the loop that it is in.
TEST_F(HostParkingTest, ALoopMayStoreItsMagicByAnyInstruction) {
  Prepare();
  Park(2, PageOfCpu(2));
  const uint64_t magic = PARK_MAGIC;
  struct Case {
    uint64_t code;
    uint64_t to;
    bool parks;
  };
  for (const Case& c : {Case{kEntry, PageOfCpu(1), false},
                        Case{PageOfCpu(5) + 0x40, PageOfCpu(1), false},
                        Case{PageOfCpu(1) + 0x40, PageOfCpu(1), true}}) {
    if (c.code != kEntry) Put(c.code, &kStoreSimd, 4);
    vcpus_[1]->Then(DebugStop{DebugStop::Kind::kStepped});
    vcpus_[1]->on_run = [&] { Put(c.to + PARK_PAGE_MAGIC, &magic, 8); };
    const auto outcome = StoreAt(1, c.code, kStoreSimd, c.to, 0);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->parks, c.parks) << std::hex << c.code;
    EXPECT_FALSE(outcome->then.has_value());
  }
  const auto events = EventsOf(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].args[0], PageOfCpu(1));
}

// Its magic is another CPU's.
TEST_F(HostParkingTest, AStepInALoopWhoseCpuIsParkedParksNobody) {
  Prepare();
  Put(PageOfCpu(1) + 0x40, &kStoreSimd, 4);
  Park(1, PageOfCpu(1));
  vcpus_[3]->Then(DebugStop{DebugStop::Kind::kStepped});
  const auto outcome =
      StoreAt(3, PageOfCpu(1) + 0x40, kStoreSimd, PageOfCpu(1), 0);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->parks);
  EXPECT_THAT(Faults(), IsEmpty());
}

TEST_F(HostParkingTest, AStepThatEndsOtherwiseIsDispatched) {
  Prepare();
  Park(1, PageOfCpu(1));
  for (const VcpuExit exit :
       {VcpuExit(DebugStop{DebugStop::Kind::kWatchedStore, PageOfCpu(1)}),
        VcpuExit(Hypercall{0x84000000, false})}) {
    vcpus_[0]->Then(exit);
    const auto outcome = StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->then, exit);
    EXPECT_FALSE(outcome->parks);
  }
}

// --- Stores to exit ---------------------------------------------------------

TEST_F(HostParkingTest, HalfAnExitReleasesNobody) {
  Prepare();
  Park(1, PageOfCpu(1));
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreExitWord, PageOfCpu(1), kEntry).ok());
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOff);
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kPageRewritten));
}

TEST_F(HostParkingTest, ZeroIsNoExit) {
  Prepare();
  Park(1, PageOfCpu(1));
  Release(1, 0);
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOff);
  EXPECT_THAT(Faults(), IsEmpty());
}

// The second store of a pair finds the page vacant that the first one vacated.
TEST_F(HostParkingTest, APairOfStoresReleasesAndMayGoOn) {
  Prepare();
  ParkAll();
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreExitAndX1, PageOfCpu(1), kEntry).ok());
  EXPECT_EQ(power_.StateOf(VcpuId{1}), psci::PowerState::kOnPending);
  EXPECT_TRUE(GuestWrites(PageOfCpu(1) + 64));
  EXPECT_THAT(Faults(), ElementsAre(ParkFault::kMagicWithoutCpu));
}

// Somebody else's magic in an occupied page is what is there already.
TEST_F(HostParkingTest, AMagicToAParkedCpuChangesNothing) {
  Prepare();
  Park(1, PageOfCpu(1));
  ASSERT_TRUE(StoreAt(0, kEntry, kStoreMagic, PageOfCpu(1), 0).ok());
  EXPECT_THAT(Faults(), IsEmpty());
  EXPECT_EQ(Get(PageOfCpu(1) + PARK_PAGE_MAGIC), PARK_MAGIC);
}

// --- Inspections ------------------------------------------------------------

TEST_F(HostParkingTest, CpusThatDoNotComeAreMissedAfterASecond) {
  constexpr int64_t kMagicDeadlineNs = 1'000'000'000;
  Prepare();
  // The second begins with the first CPU, and not with the clock.
  while (clock_.Now() < kMagicDeadlineNs / 5) parking_->Inspect();
  const int64_t begin = clock_.Now();
  Park(1, PageOfCpu(1));
  while (Faults().empty() && clock_.Now() - begin < 20 * kMagicDeadlineNs) {
    parking_->Inspect();
  }
  EXPECT_GE(clock_.Now() - begin, kMagicDeadlineNs);
  parking_->Inspect();
  ASSERT_THAT(Faults(), ElementsAre(ParkFault::kCpuWithoutMagic));
  EXPECT_EQ(diagnoses_.All()[0].count, 2u);  // CPUs 2 and 3, each once.
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 0u);
  EXPECT_EQ(diagnoses_.All()[0].place, PageOfCpu(2));
  EXPECT_EQ(diagnoses_.All()[0].value, uint64_t{kStoreMagic});
}

// Looking at a page that nobody has used would cost the host a page.
TEST_F(HostParkingTest, PagesThatNobodyHasUsedAreNotLookedAt) {
  Prepare();
  Park(1, PageOfCpu(1));
  parking_->Inspect();
  const uint64_t page = GuardedWindow::HostPage();
  std::vector<unsigned char> resident(kSmall.window.size() / page);
  ASSERT_EQ(mincore(HostOf(kSmall.window.base().value()), kSmall.window.size(),
                    resident.data()),
            0);
  const auto used = static_cast<uint64_t>(
      std::count_if(resident.begin(), resident.end(),
                    [](unsigned char each) { return (each & 1) != 0; }));
  EXPECT_LE(used, std::max<uint64_t>(3 * 4096 / page, 1));
}

// --- Errors of the host and of KVM ------------------------------------------

class HostParkingErrorTest : public HostParkingTest {
 protected:
  // CPU `cpu` parks, and the host cannot protect page `taken` then.
  absl::Status ParkFails(uint32_t cpu, uint64_t taken) {
    const uint64_t page = PageOfCpu(cpu);
    const auto in = StoreAt(cpu, page + PARK_PAGE_TEXT, kStoreMagic, page, 0);
    EXPECT_TRUE(in.ok() && in->parks);
    EXPECT_FALSE(power_.PowerOff(VcpuId{cpu}, Door::kPage));
    TakeAwayFromTheHost(taken);
    return parking_->Left(VcpuId{cpu}, Door::kPage);
  }
  static void IsTheHosts(const absl::Status& status) {
    EXPECT_THAT(std::string(status.message()),
                testing::StartsWith("protecting the park region: "));
  }
  void IsKvms(const std::string& call, absl::Status status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << call;
    EXPECT_THAT(std::string(status.message()),
                testing::StartsWith("cannot " + call));
  }
};

TEST_F(HostParkingErrorTest, TheWindowCannotBeOpened) {
  TakeAwayFromTheHost(PageOfCpu(8));
  IsTheHosts(StoreAt(0, kEntry, kStoreSimd, kPages, 0).status());
}

TEST_F(HostParkingErrorTest, TheWindowCannotBeOpenedAfterAStore) {
  TakeAwayFromTheHost(PageOfCpu(8));
  IsTheHosts(StoreAt(0, kEntry, kStoreExit, PageOfCpu(4), 1).status());
  EXPECT_EQ(vcpus_[0]->calls()[0], "pc = 0x40080004");
}

TEST_F(HostParkingErrorTest, APageCannotBeClosedForItsCpu) {
  Prepare();
  IsTheHosts(ParkFails(1, PageOfCpu(1)));
}

TEST_F(HostParkingErrorTest, TheWindowCannotBeClosedForARelease) {
  Prepare();
  Park(1, PageOfCpu(1));
  TakeAwayFromTheHost(PageOfCpu(8));
  IsTheHosts(StoreAt(0, kEntry, kStoreExit, PageOfCpu(1), kEntry).status());
}

TEST_F(HostParkingErrorTest, TheWindowCannotBeClosedForAnExitThatCameFirst) {
  Prepare();
  Put(PageOfCpu(1), &kEntry, 8);
  IsTheHosts(ParkFails(1, PageOfCpu(8)));
}

TEST_F(HostParkingErrorTest, TheWindowCannotBeOpenedForAStep) {
  Prepare();
  Park(1, PageOfCpu(1));
  TakeAwayFromTheHost(PageOfCpu(1));
  IsTheHosts(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0).status());
  EXPECT_THAT(vcpus_[0]->calls(), testing::Not(Contains("step")));
}

TEST_F(HostParkingErrorTest, TheWindowCannotBeClosedAfterAStep) {
  Prepare();
  Park(1, PageOfCpu(1));
  vcpus_[0]->Then(DebugStop{DebugStop::Kind::kStepped});
  vcpus_[0]->on_run = [this] { TakeAwayFromTheHost(PageOfCpu(1)); };
  IsTheHosts(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0).status());
}

TEST_F(HostParkingErrorTest, TheWindowCannotBeClosedForAStepThatReleases) {
  Prepare();
  Park(1, PageOfCpu(1));
  vcpus_[0]->Then(DebugStop{DebugStop::Kind::kStepped});
  vcpus_[0]->on_run = [this] {
    Put(PageOfCpu(1), &kEntry, 8);
    TakeAwayFromTheHost(PageOfCpu(8));
  };
  IsTheHosts(StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0).status());
}

TEST_F(HostParkingErrorTest, KvmCannotStepOrWatch) {
  Prepare();
  Park(1, PageOfCpu(1));
  FakeVcpu& vcpu = *vcpus_[0];
  for (const std::string call : {"step", "run", "watch", "get pc"}) {
    vcpu.fails = call;
    vcpu.Then(DebugStop{DebugStop::Kind::kStepped});
    IsKvms(call, StoreAt(0, kEntry, kStoreSimd, PageOfCpu(1), 0).status());
  }
  vcpu.fails = "pc";
  IsKvms("pc", StoreAt(0, kEntry, kStoreExit, PageOfCpu(1), 1).status());
}

TEST_F(HostParkingErrorTest, KvmCannotWatchBeforeARun) {
  Prepare();
  ASSERT_TRUE(parking_->WhileOff(VcpuId{1}, *vcpus_[1]).ok());
  vcpus_[1]->fails = "watch";
  IsKvms("watch", parking_->BeforeRun(VcpuId{1}, *vcpus_[1]));
  vcpus_[1]->fails = "";
  ASSERT_TRUE(parking_->BeforeRun(VcpuId{1}, *vcpus_[1]).ok());
  vcpus_[1]->fails = "end debug";
  IsKvms("end debug", parking_->WhileOff(VcpuId{1}, *vcpus_[1]));
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
