// SPDX-License-Identifier: Apache-2.0
// One vCPU's thread over a fake vCPU and a fake of parking: what it does in
// which order, on what thread, and how it ends.
#include "vmm/machine/vcpu_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "psci-emul/psci_abi.h"
#include "tests/support/fake_vcpu.h"

namespace vmm {
namespace {

using psci::BootContext;
using psci::Door;
using psci::PowerState;
using psci::VcpuId;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::IsEmpty;
using Kind = StopReason::Kind;

constexpr VcpuId kSelf{1};
constexpr VcpuId kOther{0};
constexpr BootContext kContext = {0x40100000, 7};
constexpr uint64_t kParkRegister = 0x1000;
constexpr std::chrono::seconds kPatience(20);

// Parking that tells a test of each call. All on the vCPU's own thread.
class FakeParking : public Parking {
 public:
  FakeParking() { must_watch_ = true; }
  absl::StatusOr<StoreOutcome> OnStore(VcpuId, Vcpu&,
                                       const VcpuExit&) override {
    return StoreOutcome{.parks = true};
  }
  absl::Status Left(VcpuId, Door door) override { return on_left(door); }
  absl::Status WhileOff(VcpuId, Vcpu&) override { return on_while_off(); }
  void Entered(VcpuId) override { on_entered(); }

  std::function<absl::Status(Door)> on_left = [](Door) {
    return absl::OkStatus();
  };
  std::function<absl::Status()> on_while_off = [] { return absl::OkStatus(); };
  std::function<void()> on_entered = [] {};
  std::function<absl::Status()> before_run = [] { return absl::OkStatus(); };

 private:
  absl::Status WatchBeforeRun(VcpuId, Vcpu&) override { return before_run(); }
};

// A device that parks whoever writes to it.
class ParkingDevice : public MmioDevice {
 public:
  absl::string_view Name() const override { return "parking"; }
  uint64_t Read(const MmioAccess&) override { return 0; }
  AfterWrite Write(const MmioAccess&, uint64_t) override {
    return AfterWrite::kPark;
  }
  void Describe(fdt::TreeWriter&, const fdt::DevicePlace&) const override {}
};

// A vCPU whose calls fail where they are to.
class FailingVcpu : public FakeVcpu {
 public:
  explicit FailingVcpu(uint64_t mpidr) : FakeVcpu(mpidr) {}
  absl::StatusOr<VcpuExit> Run() override {
    const absl::Status status = before_run();
    return status.ok() ? FakeVcpu::Run() : status;
  }
  absl::Status Reset() override {
    return on_failing_reset ? on_failing_reset() : FakeVcpu::Reset();
  }
  absl::Status SetEntry(GuestAddress entry, uint64_t x0) override {
    return on_entry ? on_entry() : FakeVcpu::SetEntry(entry, x0);
  }
  absl::StatusOr<uint64_t> Read(GuestRegister which) override {
    ++reads;
    return FakeVcpu::Read(which);
  }
  std::atomic<int> reads = 0;
  std::function<absl::Status()> before_run = [] { return absl::OkStatus(); };
  std::function<absl::Status()> on_failing_reset;
  std::function<absl::Status()> on_entry;
};

// A thread that the test makes, and all that a machine shares. CPU 0 is on in
// the table, without a thread, so that CPU 1 is not the last to leave.
class VcpuThreadTest : public testing::Test {
 protected:
  VcpuThreadTest() {
    TurnOn(kOther);
    static_cast<void>(power_.AwaitBoot(kOther));
    EXPECT_TRUE(
        bus_.Attach(GuestRange::Fixed(kParkRegister, 0x1000), device_).ok());
    auto vcpu = std::make_unique<FailingVcpu>(1);
    vcpu_ = vcpu.get();
    thread_ =
        std::make_unique<VcpuThread>(kSelf, std::move(vcpu), deps_, ring_);
  }
  ~VcpuThreadTest() override { Stop(); }

  void TurnOn(VcpuId cpu) { EXPECT_TRUE(power_.PowerOn(cpu, kContext)); }
  void StartOn() {
    TurnOn(kSelf);
    thread_->Start();
  }
  void Calls(uint32_t function) { vcpu_->Then(Hypercall{function, false}); }
  // As Machine::RequestStop and Join.
  void Stop() {
    power_.Shutdown();
    thread_->Stop();
    Join();
  }
  void Join() {
    const auto joined =
        std::async(std::launch::async, [this] { thread_->Join(); });
    if (joined.wait_for(kPatience) != std::future_status::ready) {
      GiveUp("a thread does not end");
    }
  }
  std::vector<StopReason> Reasons() {
    const std::lock_guard lock(mutex_);
    return reasons_;
  }
  std::vector<Event> Events(Event::Kind kind) {
    std::vector<Event> all, result;
    ring_.Drain(all);
    for (const Event& event : all) {
      if (event.kind == kind) result.push_back(event);
    }
    return result;
  }
  // Something that the thread does once, and that the test waits for.
  void Comes() { moment_.set_value(); }
  void AwaitMoment() {
    if (came_.wait_for(kPatience) != std::future_status::ready) {
      GiveUp("the thread does not get there");
    }
  }
  // A thread that is left cannot be ended but with the process.
  static void GiveUp(const char* why) {
    ADD_FAILURE() << why;
    std::cout << std::flush;
    std::_Exit(1);
  }

  std::mutex mutex_;
  std::vector<StopReason> reasons_;
  std::promise<void> moment_;
  const std::future<void> came_ = moment_.get_future();
  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}}};
  psci::Dispatcher psci_{power_, [](uint64_t) { return true; }};
  ParkingDevice device_;
  MmioBus bus_;
  FakeParking parking_;
  const Clock clock_;
  ReaderWake wake_;
  EventRing ring_{wake_};
  VcpuThread::Deps deps_{.power = power_,
                         .psci = psci_,
                         .bus = bus_,
                         .parking = parking_,
                         .clock = clock_,
                         .request_stop = [this](const StopReason& reason) {
                           const std::lock_guard lock(mutex_);
                           reasons_.push_back(reason);
                           // As a machine does: nothing runs on.
                           power_.Shutdown();
                           thread_->Stop();
                         }};
  FailingVcpu* vcpu_ = nullptr;  // The thread's.
  std::unique_ptr<VcpuThread> thread_;
};

// --- In and out --------------------------------------------------------------

// Every share of the VMM in a kexec rests on this stamp.
TEST_F(VcpuThreadTest, OffIsStampedAfterTheCpuIsOff) {
  constexpr size_t kRounds = 50;
  std::vector<int64_t> off_ns;  // By the table's own stamp.
  parking_.on_left = [&](Door) {
    EXPECT_EQ(power_.StateOf(kSelf), PowerState::kOff);
    off_ns.push_back(power_.LastOffNs());
    if (off_ns.size() == kRounds) {
      Comes();
    } else {
      TurnOn(kSelf);
    }
    return absl::OkStatus();
  };
  for (size_t i = 0; i < kRounds; ++i) Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  Stop();
  const std::vector<Event> events = Events(Event::Kind::kOff);
  ASSERT_EQ(events.size(), kRounds);
  for (size_t i = 0; i < kRounds; ++i) {
    EXPECT_GE(clock_.ToMonotonic(events[i].ns), off_ns[i]);
  }
}

// Who asks for the acknowledgement of a slot, or for a page's magic, must not
// be told of a CPU that is not on yet.
TEST_F(VcpuThreadTest, ParkingIsToldOfACpuThatIsOnBeforeItRuns) {
  std::vector<std::string> before;
  int entered = 0;
  parking_.on_entered = [&] {
    EXPECT_EQ(power_.StateOf(kSelf), PowerState::kOn);
    before = vcpu_->calls();
    ++entered;
  };
  vcpu_->on_run = [this] { Comes(); };
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(entered, 1);
  EXPECT_THAT(before, IsEmpty());
  EXPECT_THAT(vcpu_->calls(), ElementsAre("enter 0x40100000 7", "run"));
}

// The thread is not told anything while its CPU is off.
TEST_F(VcpuThreadTest, ParkingIsNotToldOfACpuThatStaysOff) {
  int entered = 0;
  parking_.on_entered = [&] { ++entered; };
  parking_.on_while_off = [&] {
    EXPECT_EQ(power_.StateOf(kSelf), PowerState::kOff);
    EXPECT_EQ(entered, 1);
    Comes();
    return absl::OkStatus();
  };
  Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(entered, 1);
  EXPECT_THAT(vcpu_->calls(),
              ElementsAre("enter 0x40100000 7", "run", "reset"));
}

TEST_F(VcpuThreadTest, RegistersAreResetBetweenTwoStarts) {
  int left = 0;
  parking_.on_left = [&](Door) {
    if (++left == 2) {
      Comes();
    } else {
      TurnOn(kSelf);  // Before it has settled.
    }
    return absl::OkStatus();
  };
  parking_.on_while_off = [] { return absl::OkStatus(); };
  Calls(PSCI_CPU_OFF);
  Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  Stop();
  std::vector<std::string> calls = vcpu_->calls();
  ASSERT_GE(calls.size(), 5u);
  calls.resize(5);  // It may have settled afterwards.
  EXPECT_THAT(calls, ElementsAre("enter 0x40100000 7", "run", "reset",
                                 "enter 0x40100000 7", "run"));
  EXPECT_EQ(Events(Event::Kind::kStart).size(), 2u);
}

// Two starts and an end of it, as events.
TEST_F(VcpuThreadTest, StartAndOffAreEventsOfItsCpu) {
  const int64_t begin = clock_.Now();
  parking_.on_left = [&](Door) {
    Comes();
    return absl::OkStatus();
  };
  Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  Stop();
  std::vector<Event> all;
  ring_.Drain(all);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].kind, Event::Kind::kStart);
  EXPECT_EQ(all[0].arguments, 2);
  EXPECT_THAT(all[0].args, ElementsAre(kContext.entry, kContext.context_id, 0));
  EXPECT_EQ(all[2].kind, Event::Kind::kOff);
  EXPECT_EQ(all[2].arguments, 1);
  for (const Event& event : all) {
    EXPECT_EQ(event.vcpu, 1u);
    EXPECT_EQ(event.firmware_ns, 0);
    EXPECT_GE(event.ns, begin);
  }
}

// A CPU that starts is another one's business to reset.
TEST_F(VcpuThreadTest, ACpuThatStartsBeforeItHasSettledWasNotOff) {
  int left = 0;
  parking_.on_left = [&](Door) {
    if (++left == 1) {
      TurnOn(kSelf);
    } else {
      Comes();
    }
    return absl::OkStatus();
  };
  int settled = 0;
  parking_.on_while_off = [&] {
    settled += left == 1 ? 1 : 0;
    return absl::OkStatus();
  };
  Calls(PSCI_CPU_OFF);
  Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(settled, 0);
}

TEST_F(VcpuThreadTest, ItsThreadHasItsNumberAsItsName) {
  std::string name(16, 0);
  vcpu_->on_run = [&] {
    pthread_getname_np(pthread_self(), name.data(), name.size());
    Comes();
  };
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_STREQ(name.c_str(), "vcpu1");
}

// Modelled firmware's deadlines are met; the host gathers those of others.
TEST_F(VcpuThreadTest, WithFirmwareItsDeadlinesAreNotGathered) {
  psci::Firmware firmware({.name = "custom", .on_ns = 1});
  int slack = 0;
  deps_.firmware = &firmware;
  vcpu_->on_run = [&] {
    slack = prctl(PR_GET_TIMERSLACK);
    Comes();
  };
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(slack, 1);
}

TEST_F(VcpuThreadTest, WithoutFirmwareTheHostsSlackStands) {
  int slack = 0;
  vcpu_->on_run = [&] {
    slack = prctl(PR_GET_TIMERSLACK);
    Comes();
  };
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(slack, prctl(PR_GET_TIMERSLACK));
}

// It has used what it says that it has used, and no more than there was.
TEST_F(VcpuThreadTest, TheHostsTimeOfItsThreadIsKnown) {
  const auto own = [] {
    timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
  };
  const int64_t begin = clock_.Now();
  int64_t used = 0;
  vcpu_->on_run = [&] {
    while (own() < 2'000'000) {
    }
    used = own();
    Comes();
  };
  StartOn();
  AwaitMoment();
  const int64_t told = thread_->HostCpuNs();
  EXPECT_GE(told, used);
  EXPECT_LE(told, clock_.Now() - begin);
}

TEST_F(VcpuThreadTest, ANudgeIsPassedOn) {
  int nudges = 0;
  vcpu_->on_nudge = [&] { ++nudges; };
  thread_->Nudge();
  EXPECT_EQ(nudges, 1);
}

TEST_F(VcpuThreadTest, ItsThreadEndsWithIt) {
  deps_.kvm_psci = true;
  vcpu_->on_run = [this] { Comes(); };
  thread_->Start();
  AwaitMoment();
  power_.Shutdown();
  auto vcpu = std::make_unique<FailingVcpu>(1);
  vcpu_ = vcpu.get();
  thread_ = std::make_unique<VcpuThread>(kSelf, std::move(vcpu), deps_, ring_);
}

TEST_F(VcpuThreadTest, RegistersThatWereResetWhileOffAreNotResetAgain) {
  parking_.on_while_off = [this] {
    TurnOn(kSelf);
    return absl::OkStatus();
  };
  vcpu_->on_run = [this, runs = 0]() mutable {
    if (++runs == 2) Comes();
  };
  Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_THAT(vcpu_->calls(), ElementsAre("enter 0x40100000 7", "run", "reset",
                                          "enter 0x40100000 7", "run"));
}

TEST_F(VcpuThreadTest, AResetThatFailsAtAStartEndsTheMachine) {
  parking_.on_left = [this](Door) {
    TurnOn(kSelf);  // Before it has settled.
    return absl::OkStatus();
  };
  vcpu_->on_failing_reset = [] { return absl::InternalError("what it was"); };
  Calls(PSCI_CPU_OFF);
  StartOn();
  Join();
  ASSERT_EQ(Reasons().size(), 1u);
  EXPECT_EQ(Reasons()[0].detail, "what it was");
}

// KVM holds a CPU that is off; its thread enters the guest at once.
TEST_F(VcpuThreadTest, WhereKvmAnswersPsciNoStartIsAwaited) {
  deps_.kvm_psci = true;
  vcpu_->on_run = [this] { Comes(); };
  thread_->Start();
  AwaitMoment();
  Stop();
  EXPECT_THAT(vcpu_->calls(), ElementsAre("run"));
  EXPECT_EQ(power_.StateOf(kSelf), PowerState::kOff);
}

// --- Doors -------------------------------------------------------------------

struct Leaving {
  Door door;
  VcpuExit exit;
  friend void PrintTo(const Leaving& leaving, std::ostream* out) {
    *out << psci::Name(leaving.door);
  }
};

class VcpuThreadDoorTest : public VcpuThreadTest,
                           public testing::WithParamInterface<Leaving> {};

TEST_P(VcpuThreadDoorTest, TableEventsParkingAndPostMortemAgree) {
  const Door door = GetParam().door;
  vcpu_->Then(GetParam().exit);
  parking_.on_left = [&](Door by) {
    EXPECT_EQ(by, door);
    EXPECT_TRUE(power_.IsParked(kSelf, door));
    Comes();
    return absl::OkStatus();
  };
  StartOn();
  AwaitMoment();
  Stop();
  const std::vector<Event> events = Events(Event::Kind::kOff);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].args[0], static_cast<uint64_t>(door));
  EXPECT_EQ(thread_->post_mortem().door, door);
  EXPECT_EQ(thread_->post_mortem().state, PowerState::kOff);
  EXPECT_EQ(thread_->post_mortem().pc, std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    , VcpuThreadDoorTest,
    testing::Values(Leaving{Door::kCpuOff, Hypercall{PSCI_CPU_OFF, false}},
                    Leaving{Door::kPage, StoreRefused{}},
                    Leaving{Door::kDevice,
                            MmioWrite{GuestAddress(kParkRegister), 8, 1}}),
    [](const auto& test) { return std::string(psci::Name(test.param.door)); });

// --- Ends --------------------------------------------------------------------

TEST_F(VcpuThreadTest, TheLastCpuToLeaveEndsTheMachineOnce) {
  TurnOn(kSelf);
  ASSERT_FALSE(power_.PowerOff(kOther));
  int left = 0;
  parking_.on_left = [&](Door) {
    EXPECT_THAT(Reasons(), IsEmpty());
    ++left;
    return absl::OkStatus();
  };
  Calls(PSCI_CPU_OFF);
  thread_->Start();
  Join();
  EXPECT_EQ(left, 1);
  ASSERT_EQ(Reasons().size(), 1u);
  EXPECT_EQ(Reasons()[0].kind, Kind::kAllOff);
  EXPECT_EQ(Reasons()[0].vcpu, 1u);
}

TEST_F(VcpuThreadTest, ACpuThatIsNotTheLastEndsNothing) {
  parking_.on_while_off = [this] {
    Comes();
    return absl::OkStatus();
  };
  Calls(PSCI_CPU_OFF);
  StartOn();
  AwaitMoment();
  EXPECT_THAT(Reasons(), IsEmpty());
}

TEST_F(VcpuThreadTest, TheGuestsStopEndsTheMachineAndIsNotReturnedFrom) {
  Calls(PSCI_SYSTEM_OFF);
  Calls(PSCI_VERSION);
  StartOn();
  Join();
  ASSERT_EQ(Reasons().size(), 1u);
  EXPECT_EQ(Reasons()[0].kind, Kind::kPowerOff);
  EXPECT_THAT(vcpu_->calls(), ElementsAre("enter 0x40100000 7", "run"));
  EXPECT_EQ(thread_->post_mortem().state, PowerState::kOn);
  EXPECT_EQ(thread_->post_mortem().pc, vcpu_->pc);
}

// Whatever fails on the vCPU's thread ends the machine, and says what failed.
struct Failing {
  std::string name;
  std::function<void(FailingVcpu&, FakeParking&, const absl::Status&)> set_up;
  friend void PrintTo(const Failing& failing, std::ostream* out) {
    *out << failing.name;
  }
};

class VcpuThreadErrorTest : public VcpuThreadTest,
                            public testing::WithParamInterface<Failing> {};

TEST_P(VcpuThreadErrorTest, EndsTheMachineWithItsReason) {
  GetParam().set_up(*vcpu_, parking_, absl::InternalError("what it was"));
  Calls(PSCI_CPU_OFF);
  StartOn();
  Join();
  ASSERT_EQ(Reasons().size(), 1u);
  EXPECT_EQ(Reasons()[0].kind, Kind::kVmmError);
  EXPECT_EQ(Reasons()[0].detail, "what it was");
  EXPECT_EQ(Reasons()[0].vcpu, 1u);
}

INSTANTIATE_TEST_SUITE_P(
    , VcpuThreadErrorTest,
    testing::Values(
        Failing{"Run",
                [](FailingVcpu& vcpu, FakeParking&, const absl::Status& why) {
                  vcpu.before_run = [why] { return why; };
                }},
        Failing{"SetEntry",
                [](FailingVcpu& vcpu, FakeParking&, const absl::Status& why) {
                  vcpu.on_entry = [why] { return why; };
                }},
        Failing{"Reset",
                [](FailingVcpu& vcpu, FakeParking&, const absl::Status& why) {
                  vcpu.on_failing_reset = [why] { return why; };
                }},
        Failing{
            "BeforeRun",
            [](FailingVcpu&, FakeParking& parking, const absl::Status& why) {
              parking.before_run = [why] { return why; };
            }},
        Failing{
            "Left",
            [](FailingVcpu&, FakeParking& parking, const absl::Status& why) {
              parking.on_left = [why](Door) { return why; };
            }},
        Failing{
            "WhileOff",
            [](FailingVcpu&, FakeParking& parking, const absl::Status& why) {
              parking.on_while_off = [why] { return why; };
            }}),
    [](const auto& test) { return test.param.name; });

// --- Stops -------------------------------------------------------------------

TEST_F(VcpuThreadTest, AStopEndsTheWaitForAFirstStart) {
  thread_->Start();
  Stop();
  EXPECT_EQ(thread_->post_mortem().state, PowerState::kOff);
  EXPECT_THAT(vcpu_->calls(), IsEmpty());
}

TEST_F(VcpuThreadTest, AStopCallsTheCpuOutOfTheGuest) {
  vcpu_->on_run = [this] { Comes(); };
  vcpu_->pc = 0x1234;
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(thread_->post_mortem().state, PowerState::kOn);
  EXPECT_EQ(thread_->post_mortem().pc, 0x1234u);
  // No guest instruction after the one that is executing.
  EXPECT_THAT(vcpu_->calls(), ElementsAre("enter 0x40100000 7", "run"));
}

// The thread was out of the guest and about to go in again.
TEST_F(VcpuThreadTest, AStopBetweenTwoExitsIsSeen) {
  Calls(PSCI_VERSION);
  Calls(PSCI_VERSION);
  int runs = 0;
  vcpu_->before_run = [&] {
    ++runs;
    thread_->Stop();
    return absl::OkStatus();
  };
  StartOn();
  Join();
  EXPECT_EQ(runs, 1);
}

// It was turned on, and will never execute anything.
TEST_F(VcpuThreadTest, AStopBeforeTheFirstInstructionIsNoStart) {
  parking_.on_entered = [this] { thread_->Stop(); };
  StartOn();
  Join();
  EXPECT_THAT(Events(Event::Kind::kStart), IsEmpty());
  EXPECT_EQ(thread_->post_mortem().state, PowerState::kOn);
  EXPECT_THAT(vcpu_->calls(), ElementsAre("enter 0x40100000 7"));
}

TEST_F(VcpuThreadTest, AStopEndsTheWaitOfAParkedCpu) {
  parking_.on_while_off = [this] {
    Comes();
    return absl::OkStatus();
  };
  vcpu_->Then(StoreRefused{});
  StartOn();
  AwaitMoment();
  Stop();
  EXPECT_EQ(thread_->post_mortem().state, PowerState::kOff);
  EXPECT_EQ(thread_->post_mortem().door, Door::kPage);
}

// --- Questions ---------------------------------------------------------------

class VcpuThreadAskTest : public VcpuThreadTest {
 protected:
  void StartInGuest() {
    vcpu_->on_run = [this, runs = 0]() mutable {
      if (++runs == 1) Comes();
    };
    StartOn();
    AwaitMoment();
  }
  // A busy machine may keep the thread from answering in time.
  std::optional<Whereabouts> AskUntilAnswered() {
    std::optional<Whereabouts> answer;
    const auto end = steady_clock::now() + kPatience;
    while (!answer && steady_clock::now() < end) answer = thread_->Ask();
    return answer;
  }
};

TEST_F(VcpuThreadAskTest, ACpuThatRunsSaysWhereItIsNow) {
  vcpu_->pc = 0x1234;
  vcpu_->sctlr = 1;
  StartInGuest();
  const auto first = AskUntilAnswered();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->pc, 0x1234u);
  EXPECT_TRUE(first->mmu_on);
  vcpu_->pc = 0x5678;
  vcpu_->sctlr = 0;
  const auto second = AskUntilAnswered();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->pc, 0x5678u);
  EXPECT_FALSE(second->mmu_on);
}

// An answer ends the wait for it, well before its deadline.
TEST_F(VcpuThreadAskTest, AnAnswerIsNotWaitedFor) {
  constexpr std::chrono::milliseconds kDeadline(100);  // As in vcpu_thread.cc.
  StartInGuest();
  auto shortest = std::chrono::nanoseconds::max();
  const auto end = steady_clock::now() + kPatience;
  while (shortest >= kDeadline && steady_clock::now() < end) {
    const auto begin = steady_clock::now();
    if (thread_->Ask()) shortest = steady_clock::now() - begin;
  }
  EXPECT_LT(shortest, kDeadline);
}

// Of one question: the next one wants the next answer, or none.
TEST_F(VcpuThreadAskTest, ACpuThatDoesNotAnswerIsNowhere) {
  StartInGuest();
  ASSERT_TRUE(AskUntilAnswered().has_value());
  vcpu_->deaf = true;
  const auto begin = steady_clock::now();
  EXPECT_EQ(thread_->Ask(), std::nullopt);
  EXPECT_GE(steady_clock::now() - begin, std::chrono::milliseconds(100));
}

TEST_F(VcpuThreadAskTest, AnAnswerIsReadOncePerQuestion) {
  std::atomic<bool> answered = false;
  std::promise<void> again;
  vcpu_->before_run = [&, once = false]() mutable {
    if (!once && answered) {
      once = true;
      again.set_value();
    }
    return absl::OkStatus();
  };
  StartInGuest();
  ASSERT_TRUE(AskUntilAnswered().has_value());
  const int reads = vcpu_->reads;
  EXPECT_EQ(reads % 2, 0);  // The PC and SCTLR, each time.
  answered = true;
  vcpu_->Nudge();
  again.get_future().wait();
  EXPECT_EQ(vcpu_->reads, reads);
}

TEST_F(VcpuThreadAskTest, AStopEndsTheWaitForAnAnswer) {
  StartInGuest();
  vcpu_->deaf = true;
  vcpu_->on_nudge = [this] { thread_->Stop(); };
  EXPECT_EQ(thread_->Ask(), std::nullopt);
}

// Whether it is on is KVM's to know.
TEST_F(VcpuThreadAskTest, WhereKvmAnswersPsciACpuThatIsOffIsAsked) {
  deps_.kvm_psci = true;
  vcpu_->pc = 0x1234;
  thread_->Start();
  const auto answer = AskUntilAnswered();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->pc, 0x1234u);
}

TEST_F(VcpuThreadAskTest, WhatKvmDoesNotTellEndsTheMachine) {
  StartInGuest();
  vcpu_->fails = "get sctlr";
  vcpu_->Nudge();
  static_cast<void>(thread_->Ask());
  Join();
  ASSERT_EQ(Reasons().size(), 1u);
  EXPECT_EQ(Reasons()[0].detail, "cannot get sctlr");
}

TEST_F(VcpuThreadAskTest, ACpuThatIsOffIsNotAsked) {
  thread_->Start();
  int nudges = 0;
  vcpu_->on_nudge = [&] { ++nudges; };
  EXPECT_EQ(thread_->Ask(), std::nullopt);
  EXPECT_EQ(nudges, 0);
}

}  // namespace
}  // namespace vmm
