// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/exit_dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "psci-emul/psci_abi.h"
#include "tests/support/fake_vcpu.h"

namespace vmm {
namespace {

using testing::ElementsAre;
using Kind = StopReason::Kind;

constexpr uint64_t kEntry = 0x40080000;

class EchoDevice : public MmioDevice {
 public:
  absl::string_view Name() const override { return "echo"; }
  uint64_t Read(const MmioAccess&) override { return value; }
  AfterWrite Write(const MmioAccess&, uint64_t written) override {
    value = written;
    return after;
  }
  void Describe(fdt::TreeWriter&, const fdt::DevicePlace&) const override {}
  uint64_t value = 0x55;
  AfterWrite after = AfterWrite::kDone;
};

class ExitDispatcherTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(power_.PowerOn(psci::VcpuId{0}, {}));
    power_.AwaitBoot(psci::VcpuId{0});
    ASSERT_TRUE(bus_.Attach(GuestRange::Fixed(0x1000, 0x1000), device_).ok());
  }

  NextStep Dispatch(VcpuExit exit) {
    auto step = dispatcher_.Dispatch(exit, vcpu_);
    EXPECT_TRUE(step.ok()) << step.status();
    return *std::move(step);
  }
  // A hypercall with these arguments.
  NextStep Call(uint32_t function, std::array<uint64_t, 3> x1_to_x3 = {}) {
    vcpu_.Then(Hypercall{function, false}, x1_to_x3);
    EXPECT_TRUE(vcpu_.Run().ok());
    return Dispatch(Hypercall{function, false});
  }
  std::vector<Event> Events() {
    std::vector<Event> events;
    events_.Drain(events);
    return events;
  }

  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}}};
  psci::Dispatcher psci_{power_, [](uint64_t) { return true; }};
  MmioBus bus_;
  EchoDevice device_;
  Clock clock_;
  EventRing events_{-1};
  NoParking parking_;
  FakeVcpu vcpu_{0};
  ExitDispatcher dispatcher_{0, bus_, psci_, parking_, clock_, events_};
};

TEST_F(ExitDispatcherTest, MmioGoesToTheDevice) {
  EXPECT_EQ(Dispatch(MmioWrite{GuestAddress(0x1000), 4, 0x77}),
            NextStep::kResume);
  Dispatch(MmioRead{GuestAddress(0x1000), 4});
  EXPECT_THAT(vcpu_.calls(), ElementsAre("answer 0x77"));
}

TEST_F(ExitDispatcherTest, AccessesToNothingReadZeroAndAreCounted) {
  Dispatch(MmioRead{GuestAddress(0x9000), 4});
  Dispatch(MmioWrite{GuestAddress(0x9000), 4, 1});
  EXPECT_THAT(vcpu_.calls(), ElementsAre("answer 0"));
  EXPECT_EQ(dispatcher_.mistakes().unowned_accesses, 2u);
}

TEST_F(ExitDispatcherTest, AWriteAfterWhichTheCpuParksLeavesTheGuest) {
  device_.after = AfterWrite::kPark;
  EXPECT_EQ(Dispatch(MmioWrite{GuestAddress(0x1000), 8, 1}),
            NextStep::kParkDevice);
}

TEST_F(ExitDispatcherTest, AGuardedStoreWithoutARegionIsOurs) {
  EXPECT_FALSE(dispatcher_.Dispatch(StoreRefused{}, vcpu_).ok());
}

TEST_F(ExitDispatcherTest, AnUndecodableAccessAbortsTheGuest) {
  Dispatch(NoSyndrome{GuestAddress(0x9000)});
  EXPECT_THAT(vcpu_.calls(), ElementsAre("abort"));
  EXPECT_EQ(dispatcher_.mistakes().undecodable, 1u);
}

// Each register costs an ioctl on the guest's critical path.
TEST_F(ExitDispatcherTest, FetchesOnlyTheRegistersThatTheCallUses) {
  Call(PSCI_VERSION);
  Call(PSCI_AFFINITY_INFO_64, {1, 0});
  Call(PSCI_CPU_ON_64, {1, kEntry, 7});
  EXPECT_THAT(vcpu_.calls(),
              ElementsAre("run", "x0 = 65537",                    //
                          "run", "read x1", "read x2", "x0 = 1",  //
                          "run", "read x1", "read x2", "read x3", "x0 = 0"));
}

TEST_F(ExitDispatcherTest, CallsBecomeEventsAsTheyWereUnderstood) {
  Call(PSCI_CPU_ON_32, {0xffffffff00000001, 0xffffffff00000000 | kEntry, 7});
  const auto events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].function, PSCI_CPU_ON_32);
  EXPECT_EQ(events[0].arguments, 3);
  EXPECT_THAT(events[0].args, ElementsAre(1, kEntry, 7));
  EXPECT_EQ(events[0].result, 0);
}

TEST_F(ExitDispatcherTest, UnknownCallsAreAnsweredAndCounted) {
  EXPECT_EQ(Call(PSCI_32(0x1f)), NextStep::kResume);
  EXPECT_EQ(vcpu_.x0(), static_cast<uint64_t>(int64_t{-1}));
  EXPECT_EQ(dispatcher_.mistakes().unknown_calls, 1u);
  Call(PSCI_FEATURES, {0x84000005});  // A known call with an empty answer.
  EXPECT_EQ(dispatcher_.mistakes().unknown_calls, 1u);
}

TEST_F(ExitDispatcherTest, CpuOffTurnsOff) {
  EXPECT_EQ(Call(PSCI_CPU_OFF), NextStep::kTurnOff);
}

TEST_F(ExitDispatcherTest, SuspendWaitsForItsWakeUp) {
  Call(PSCI_CPU_SUSPEND_64, {0, 0, 0});
  Dispatch(Wakeup{});
  EXPECT_THAT(vcpu_.calls(), ElementsAre("run", "read x1", "read x2", "read x3",
                                         "x0 = 0", "suspend", "resume"));
}

TEST_F(ExitDispatcherTest, SystemOffStopsTheMachine) {
  ASSERT_EQ(Call(PSCI_SYSTEM_OFF), NextStep::kStop);
  EXPECT_EQ(dispatcher_.stop_reason().kind, Kind::kPowerOff);
}

TEST_F(ExitDispatcherTest, Reset2CarriesTypeAndCookie) {
  ASSERT_EQ(Call(PSCI_SYSTEM_RESET2_64, {0x80000001, 0x99}), NextStep::kStop);
  const StopReason& reason = dispatcher_.stop_reason();
  EXPECT_EQ(reason.kind, Kind::kReset);
  EXPECT_TRUE(reason.reset2);
  EXPECT_EQ(reason.code, 0x80000001u);
  EXPECT_EQ(reason.value, 0x99u);
}

TEST_F(ExitDispatcherTest, KvmsOwnPsciStopsTheMachineToo) {
  const auto kind_of = [&](SystemEvent::Kind kind) {
    EXPECT_EQ(Dispatch(SystemEvent{kind}), NextStep::kStop);
    return dispatcher_.stop_reason().kind;
  };
  EXPECT_EQ(kind_of(SystemEvent::Kind::kShutdown), Kind::kPowerOff);
  EXPECT_EQ(kind_of(SystemEvent::Kind::kReset), Kind::kReset);
  EXPECT_EQ(kind_of(SystemEvent::Kind::kReset2), Kind::kReset);
  EXPECT_EQ(kind_of(SystemEvent::Kind::kCrash), Kind::kStuck);
}

TEST_F(ExitDispatcherTest, WhatKvmCannotRunIsStuckWhatWeDoNotKnowIsOurs) {
  EXPECT_EQ(Dispatch(EntryFailed{5}), NextStep::kStop);
  EXPECT_EQ(dispatcher_.stop_reason().kind, Kind::kStuck);
  EXPECT_EQ(Dispatch(Unhandled{99}), NextStep::kStop);
  EXPECT_EQ(dispatcher_.stop_reason().kind, Kind::kVmmError);
}

TEST_F(ExitDispatcherTest, AnInterruptionJustLooksAgain) {
  EXPECT_EQ(Dispatch(Interrupted{}), NextStep::kResume);
  EXPECT_TRUE(vcpu_.calls().empty());
}

TEST(GuestMistakesTest, EachKindIsAddedUp) {
  GuestMistakes sum = {
      .unowned_accesses = 1, .undecodable = 20, .unknown_calls = 300};
  sum += {.unowned_accesses = 4, .undecodable = 50, .unknown_calls = 600};
  EXPECT_EQ(sum.unowned_accesses, 5u);
  EXPECT_EQ(sum.undecodable, 70u);
  EXPECT_EQ(sum.unknown_calls, 900u);
}

}  // namespace
}  // namespace vmm
