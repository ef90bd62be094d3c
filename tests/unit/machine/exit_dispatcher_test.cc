// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/exit_dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
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
  ReaderWake wake_;
  EventRing events_{wake_};
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
  Dispatch(MmioWrite{GuestAddress(0xa000), 4, 1});
  EXPECT_THAT(vcpu_.calls(), ElementsAre("answer 0"));
  EXPECT_EQ(dispatcher_.mistakes().unowned_accesses, 2u);
  EXPECT_EQ(dispatcher_.mistakes().first_unowned, 0x9000u);
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

TEST_F(ExitDispatcherTest, DetailsSayWhichVcpuAndWhy) {
  ExitDispatcher third(3, bus_, psci_, parking_, clock_, events_);
  EXPECT_EQ(*third.Dispatch(EntryFailed{5}, vcpu_), NextStep::kStop);
  EXPECT_EQ(third.stop_reason().detail,
            "KVM could not run vCPU 3 (reason 0x5)");
  EXPECT_EQ(third.stop_reason().vcpu, 3u);
  EXPECT_EQ(*third.Dispatch(Unhandled{99}, vcpu_), NextStep::kStop);
  EXPECT_EQ(third.stop_reason().detail,
            "KVM left vCPU 3 for a reason not known here (99)");
  EXPECT_EQ(*third.Dispatch(SystemEvent{SystemEvent::Kind::kSuspend}, vcpu_),
            NextStep::kStop);
  EXPECT_EQ(third.stop_reason().kind, Kind::kVmmError);
}

TEST_F(ExitDispatcherTest, TheGuestsStopIsAnEventWithWhatItCarries) {
  ExitDispatcher third(3, bus_, psci_, parking_, clock_, events_);
  const int64_t begin = clock_.Now();
  vcpu_.Then(Hypercall{PSCI_SYSTEM_RESET2_64, false}, {0x80000001, 0x99, 0});
  ASSERT_TRUE(vcpu_.Run().ok());
  for (const VcpuExit exit :
       {VcpuExit(Hypercall{PSCI_SYSTEM_RESET2_64, false}),
        VcpuExit(Hypercall{PSCI_SYSTEM_RESET, false}),
        VcpuExit(Hypercall{PSCI_SYSTEM_OFF, false}),
        VcpuExit(SystemEvent{SystemEvent::Kind::kShutdown}),
        VcpuExit(SystemEvent{SystemEvent::Kind::kReset})}) {
    EXPECT_EQ(*third.Dispatch(exit, vcpu_), NextStep::kStop);
  }
  std::vector<Event> events;
  for (const Event& event : Events()) {
    EXPECT_EQ(event.vcpu, 3u);
    EXPECT_GE(event.ns, begin);
    if (event.kind != Event::Kind::kPsci) events.push_back(event);
  }
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0].kind, Event::Kind::kReset);
  EXPECT_EQ(events[0].arguments, 2);
  EXPECT_THAT(events[0].args, ElementsAre(0x80000001, 0x99, 0));
  EXPECT_EQ(events[1].kind, Event::Kind::kReset);
  EXPECT_EQ(events[1].arguments, 0);
  EXPECT_EQ(events[2].kind, Event::Kind::kPowerOff);
  EXPECT_EQ(events[2].arguments, 0);
  EXPECT_EQ(events[3].kind, Event::Kind::kPowerOff);
  EXPECT_EQ(events[4].kind, Event::Kind::kReset);
}

TEST_F(ExitDispatcherTest, KvmsResetsAreToldApart) {
  Dispatch(SystemEvent{SystemEvent::Kind::kReset2});
  EXPECT_TRUE(dispatcher_.stop_reason().reset2);
  Dispatch(SystemEvent{SystemEvent::Kind::kReset});
  EXPECT_FALSE(dispatcher_.stop_reason().reset2);
}

TEST_F(ExitDispatcherTest, CallsHaveTheirResultInTheirEvent) {
  Call(PSCI_32(0x1f));
  Call(PSCI_VERSION);
  Call(PSCI_CPU_OFF);
  const auto events = Events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].result, -1);
  EXPECT_EQ(events[1].result, 0x10001);
  EXPECT_EQ(events[2].result, 0);
  EXPECT_EQ(events[2].function, PSCI_CPU_OFF);
}

// Each call that KVM can refuse, and the exit that leads to it.
TEST_F(ExitDispatcherTest, WhatKvmRefusesIsReturned) {
  struct Case {
    const char* fails;
    VcpuExit exit;
  };
  for (const Case& c : {Case{"read x1", Hypercall{PSCI_CPU_ON_64, false}},
                        Case{"x0 = 65537", Hypercall{PSCI_VERSION, false}},
                        Case{"x0 = 0", Hypercall{PSCI_CPU_SUSPEND_64, false}},
                        Case{"suspend", Hypercall{PSCI_CPU_SUSPEND_64, false}},
                        Case{"resume", Wakeup{}},
                        Case{"abort", NoSyndrome{GuestAddress(0x9000)}}}) {
    vcpu_.fails = c.fails;
    const auto step = dispatcher_.Dispatch(c.exit, vcpu_);
    EXPECT_EQ(step.status().message(), std::string("cannot ") + c.fails);
  }
}

// Parking that says what it was told, and answers what the test wants.
class TalkingParking : public Parking {
 public:
  absl::StatusOr<StoreOutcome> OnStore(psci::VcpuId self, Vcpu&,
                                       const VcpuExit& exit) override {
    told.push_back(
        absl::StrCat("store of ", psci::Index(self), " at ", exit.index()));
    return outcome;
  }
  void OnCpuOnRefused(psci::VcpuId caller, uint64_t mpidr) override {
    told.push_back(
        absl::StrCat(psci::Index(caller), " refused ", absl::Hex(mpidr)));
  }
  std::vector<std::string> told;
  StoreOutcome outcome;
};

class ExitDispatcherParkingTest : public ExitDispatcherTest {
 protected:
  NextStep Third(const VcpuExit& exit) {
    const auto step = third_.Dispatch(exit, vcpu_);
    EXPECT_TRUE(step.ok()) << step.status();
    return *step;
  }
  TalkingParking talking_;
  ExitDispatcher third_{3, bus_, psci_, talking_, clock_, events_};
};

TEST_F(ExitDispatcherParkingTest, IsToldOfCpuOnThatIsRefused) {
  for (const std::array<uint64_t, 3>& x1_to_x3 :
       {std::array<uint64_t, 3>{1, kEntry, 0},     // Taken,
        std::array<uint64_t, 3>{1, kEntry, 0},     // on already,
        std::array<uint64_t, 3>{9, kEntry, 0}}) {  // nobody.
    vcpu_.Then(Hypercall{PSCI_CPU_ON_64, false}, x1_to_x3);
    ASSERT_TRUE(vcpu_.Run().ok());
    EXPECT_EQ(Third(Hypercall{PSCI_CPU_ON_64, false}), NextStep::kResume);
  }
  EXPECT_THAT(talking_.told, ElementsAre("3 refused 1"));
}

TEST_F(ExitDispatcherParkingTest, IsAskedAboutStoresThatAreWatchedOrRefused) {
  EXPECT_EQ(Third(StoreRefused{}), NextStep::kResume);
  EXPECT_EQ(Third(DebugStop{DebugStop::Kind::kWatchedStore}),
            NextStep::kResume);
  EXPECT_EQ(Third(DebugStop{DebugStop::Kind::kStepped}), NextStep::kResume);
  EXPECT_EQ(Third(DebugStop{DebugStop::Kind::kOther}), NextStep::kResume);
  EXPECT_THAT(
      talking_.told,
      ElementsAre(
          absl::StrCat("store of 3 at ", VcpuExit(StoreRefused{}).index()),
          absl::StrCat("store of 3 at ", VcpuExit(DebugStop{}).index())));
}

TEST_F(ExitDispatcherParkingTest, DecidesWhatBecomesOfAStore) {
  talking_.outcome.then = SystemEvent{SystemEvent::Kind::kShutdown};
  EXPECT_EQ(Third(StoreRefused{}), NextStep::kStop);
  talking_.outcome.parks = true;
  EXPECT_EQ(Third(StoreRefused{}), NextStep::kParkPage);
}

TEST(GuestMistakesTest, EachKindIsAddedUp) {
  GuestMistakes sum = {
      .unowned_accesses = 1, .undecodable = 20, .unknown_calls = 300};
  sum += {.unowned_accesses = 4, .undecodable = 50, .unknown_calls = 600};
  EXPECT_EQ(sum.unowned_accesses, 5u);
  EXPECT_EQ(sum.undecodable, 70u);
  EXPECT_EQ(sum.unknown_calls, 900u);
  GuestMistakes where;
  where += {.unowned_accesses = 1, .first_unowned = 0x9000};
  where += {.unowned_accesses = 1, .first_unowned = 0xa000};
  EXPECT_EQ(where.first_unowned, 0x9000u);
}

}  // namespace
}  // namespace vmm
