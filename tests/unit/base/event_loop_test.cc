// SPDX-License-Identifier: Apache-2.0
// Pipes and a clock of the test's own: nothing here sleeps.
#include "vmm/base/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#include <functional>
#include <string>
#include <vector>

#include "vmm/base/clock.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kPeriod = 1'000'000;

class Pipe {
 public:
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    reader_ = UniqueFd(ends[0]);
    writer_ = UniqueFd(ends[1]);
  }
  int reader() const { return reader_.get(); }
  int writer() const { return writer_.get(); }
  void Fill() { EXPECT_EQ(write(writer(), "x", 1), 1); }
  void Empty() {
    char byte;
    EXPECT_EQ(read(reader(), &byte, 1), 1);
  }
  void CloseWriter() { writer_ = UniqueFd(); }

 private:
  UniqueFd reader_;
  UniqueFd writer_;
};

class EventLoopTest : public testing::Test {
 protected:
  // A handler that notes its name.
  EventLoop::Handler Note(const std::string& name) {
    return [this, name] {
      calls_.push_back(name);
      return absl::OkStatus();
    };
  }
  EventLoop::Id Read(const std::string& name, const Pipe& pipe) {
    return loop_.Add(name, pipe.reader(), POLLIN, Note(name));
  }
  std::vector<std::string> Round() {
    calls_.clear();
    EXPECT_TRUE(loop_.RunRound().ok());
    return calls_;
  }

  int64_t now_ = 0;
  EventLoop loop_{[this] { return now_; }};
  Pipe a_, b_, c_;
  std::vector<std::string> calls_;
};

TEST_F(EventLoopTest, CallsTheHandlersOfReadyDescriptorsInTheirOrder) {
  Read("a", a_);
  Read("b", b_);
  Read("c", c_);
  c_.Fill();
  a_.Fill();
  EXPECT_THAT(Round(), ElementsAre("a", "c"));
}

TEST_F(EventLoopTest, CallsAgainUntilTheDescriptorIsEmpty) {
  Read("a", a_);
  Read("b", b_);
  a_.Fill();
  EXPECT_THAT(Round(), ElementsAre("a"));
  b_.Fill();
  EXPECT_THAT(Round(), ElementsAre("a", "b"));
  a_.Empty();
  EXPECT_THAT(Round(), ElementsAre("b"));
}

TEST_F(EventLoopTest, WaitsForWhatCanBeWritten) {
  loop_.Add("out", a_.writer(), POLLOUT, Note("out"));
  EXPECT_THAT(Round(), ElementsAre("out"));
}

TEST_F(EventLoopTest, ADisabledHandlerIsNeitherCalledNorWaitedFor) {
  const auto a = Read("a", a_);
  Read("b", b_);
  a_.Fill();
  b_.Fill();
  loop_.Enable(a, false);
  EXPECT_THAT(Round(), ElementsAre("b"));
  loop_.Enable(a, true);
  EXPECT_THAT(Round(), ElementsAre("a", "b"));
}

TEST_F(EventLoopTest, AHandlerMayDisableALaterOneOfTheSameRound) {
  EventLoop::Id later{};
  loop_.Add("a", a_.reader(), POLLIN, [&] {
    loop_.Enable(later, false);
    return absl::OkStatus();
  });
  later = Read("later", b_);
  a_.Fill();
  b_.Fill();
  EXPECT_THAT(Round(), IsEmpty());
}

TEST_F(EventLoopTest, AHandlerMayAddAnother) {
  loop_.Add("a", a_.reader(), POLLIN, [&] {
    a_.Empty();
    for (int i = 0; i < 100; ++i) Read("new", b_);
    return absl::OkStatus();
  });
  a_.Fill();
  b_.Fill();
  EXPECT_THAT(Round(), IsEmpty());
  EXPECT_EQ(Round().size(), 100u);
}

TEST_F(EventLoopTest, AClosedPipeIsReady) {
  Read("a", a_);
  a_.CloseWriter();
  EXPECT_THAT(Round(), ElementsAre("a"));
}

TEST_F(EventLoopTest, ANullHandlerOnlyEndsTheWait) {
  loop_.Add("wake", a_.reader(), POLLIN, nullptr);
  loop_.SetRoundEnd(Note("end"));
  a_.Fill();
  EXPECT_THAT(Round(), ElementsAre("end"));
}

TEST_F(EventLoopTest, ARoundEndsWithTheTickAndThenItsOwnHandler) {
  loop_.SetRoundEnd(Note("end"));
  loop_.SetTick(kPeriod, Note("tick"));
  Read("a", a_);
  a_.Fill();
  now_ = kPeriod;
  EXPECT_THAT(Round(), ElementsAre("a", "tick", "end"));
}

TEST_F(EventLoopTest, BusyDescriptorsNeitherDelayNorHastenTheTick) {
  loop_.SetTick(kPeriod, Note("tick"));
  Read("a", a_);
  a_.Fill();
  now_ = kPeriod - 1;
  EXPECT_THAT(Round(), ElementsAre("a"));
  now_ = kPeriod;
  EXPECT_THAT(Round(), ElementsAre("a", "tick"));
  EXPECT_THAT(Round(), ElementsAre("a"));
}

TEST_F(EventLoopTest, ALateTickComesOnceAndMovesTheNext) {
  loop_.SetTick(kPeriod, Note("tick"));
  Read("a", a_);
  a_.Fill();
  now_ = 10 * kPeriod + 5;
  EXPECT_THAT(Round(), ElementsAre("a", "tick"));
  now_ = 11 * kPeriod + 4;
  EXPECT_THAT(Round(), ElementsAre("a"));
  now_ = 11 * kPeriod + 5;
  EXPECT_THAT(Round(), ElementsAre("a", "tick"));
}

TEST_F(EventLoopTest, ATickThatIsDueIsNotWaitedFor) {
  loop_.SetTick(int64_t{3600} * 1'000'000'000, Note("tick"));
  now_ = int64_t{3600} * 1'000'000'000;
  EXPECT_THAT(Round(), ElementsAre("tick"));
}

TEST(EventLoopClockTest, TicksComeWithoutAnyDescriptor) {
  EventLoop loop;
  int ticks = 0;
  loop.SetTick(1'000, [&] {
    if (++ticks == 3) loop.Stop();
    return absl::OkStatus();
  });
  EXPECT_TRUE(loop.Run().ok());
  EXPECT_EQ(ticks, 3);
}

TEST_F(EventLoopTest, StopEndsTheRunAfterTheRound) {
  loop_.Add("stop", a_.reader(), POLLIN, [&] {
    loop_.Stop();
    return absl::OkStatus();
  });
  Read("b", b_);
  loop_.SetRoundEnd(Note("end"));
  a_.Fill();
  b_.Fill();
  EXPECT_TRUE(loop_.Run().ok());
  EXPECT_THAT(calls_, ElementsAre("b", "end"));
}

TEST_F(EventLoopTest, AnErrorEndsTheRunAndSaysWhoseItIs) {
  loop_.Add("bad", a_.reader(), POLLIN,
            [] { return absl::DataLossError("gone"); });
  Read("b", b_);
  a_.Fill();
  b_.Fill();
  EXPECT_EQ(loop_.Run(), absl::DataLossError("bad: gone"));
  EXPECT_THAT(calls_, IsEmpty());
}

TEST_F(EventLoopTest, AnErrorAtARoundsEndEndsTheRun) {
  loop_.SetRoundEnd([] { return absl::DataLossError("disk full"); });
  Read("a", a_);
  a_.Fill();
  EXPECT_EQ(loop_.Run(), absl::DataLossError("disk full"));
}

TEST_F(EventLoopTest, AnErrorOfTheTickEndsTheRun) {
  loop_.SetTick(kPeriod, [] { return absl::DataLossError("late"); });
  Read("a", a_);
  a_.Fill();
  now_ = kPeriod;
  EXPECT_EQ(loop_.RunRound(), absl::DataLossError("late"));
}

TEST_F(EventLoopTest, MoreDescriptorsThanTheHostAllowsAreAnError) {
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  Read("a", a_);
  Read("b", b_);
  a_.Fill();
  const rlimit one = {1, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &one), 0);
  const absl::Status status = loop_.RunRound();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(status, absl::UnknownError("poll: Invalid argument"));
  EXPECT_THAT(calls_, IsEmpty());
}

// Signals come again and again while it lives, and do nothing but interrupt.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, &old_);
    const itimerval often = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Interruptions() {
    const itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &old_, nullptr);
  }

 private:
  struct sigaction old_ = {};
};

TEST_F(EventLoopTest, ASignalEndsTheWaitWithNothingReady) {
  Read("a", a_);
  loop_.SetRoundEnd(Note("end"));
  a_.Fill();
  EXPECT_THAT(Round(), ElementsAre("a", "end"));
  a_.Empty();
  const Interruptions interruptions;
  EXPECT_THAT(Round(), ElementsAre("end"));
}

TEST_F(EventLoopTest, WithoutATickItWaitsForADescriptor) {
  const UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, 0));
  const itimerspec soon = {{}, {0, 20'000'000}};
  ASSERT_EQ(timerfd_settime(timer.get(), 0, &soon, nullptr), 0);
  loop_.Add("timer", timer.get(), POLLIN, Note("timer"));
  EXPECT_THAT(Round(), ElementsAre("timer"));
}

TEST_F(EventLoopTest, WithATickItWaitsUntilThat) {
  loop_.SetTick(20 * kPeriod, Note("tick"));
  const int64_t begin = EventLoop::MonotonicNs();
  EXPECT_THAT(Round(), IsEmpty());  // The test's clock stands still.
  EXPECT_GE(EventLoop::MonotonicNs() - begin, 20 * kPeriod);
}

TEST(PollTimeoutTest, RoundsUpToMilliseconds) {
  EXPECT_EQ(EventLoop::PollTimeoutMs(-1), 0);
  EXPECT_EQ(EventLoop::PollTimeoutMs(INT64_MIN), 0);
  EXPECT_EQ(EventLoop::PollTimeoutMs(0), 0);
  EXPECT_EQ(EventLoop::PollTimeoutMs(1), 1);
  EXPECT_EQ(EventLoop::PollTimeoutMs(1'000'000), 1);
  EXPECT_EQ(EventLoop::PollTimeoutMs(1'000'001), 2);
  EXPECT_EQ(EventLoop::PollTimeoutMs(2'000'000), 2);
  EXPECT_EQ(EventLoop::PollTimeoutMs(int64_t{INT_MAX} * 1'000'000), INT_MAX);
  EXPECT_EQ(EventLoop::PollTimeoutMs(int64_t{INT_MAX} * 1'000'000 + 1),
            INT_MAX);
}

// What `moment` returns must lie between two looks at the kernel's clock.
void ExpectMonotonic(const std::function<int64_t()>& moment) {
  const auto look = [] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
  };
  // The shortest of many looks is short even on a busy machine.
  for (int i = 0; i < 1000; ++i) {
    const int64_t before = look();
    const int64_t ns = moment();
    const int64_t after = look();
    ASSERT_LE(before, ns);
    ASSERT_LE(ns, after);
  }
}

TEST(MonotonicTest, IsTheKernelsClock) {
  ExpectMonotonic(EventLoop::MonotonicNs);
  ExpectMonotonic([] { return Clock().ToMonotonic(0); });
  const Clock clock;
  ExpectMonotonic([&] { return clock.ToMonotonic(clock.Now()); });
  EXPECT_EQ(clock.ToMonotonic(5) - clock.ToMonotonic(3), 2);
}

// Else the end of a run would wait for ever.
TEST_F(EventLoopTest, ADescriptorThatTheHostDidNotGiveEndsItAtOnce) {
  Pipe pipe;
  loop_.Add("first", pipe.reader(), POLLIN, nullptr);
  loop_.Add("stop", -1, POLLIN, Note("stop"));
  loop_.Add("signals", -1, POLLIN, Note("signals"));
  const absl::Status status = loop_.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(),
            "this host gave the VMM no file descriptor to hear of: stop; raise "
            "its limit with ulimit -n");
  EXPECT_THAT(calls_, IsEmpty());
}

}  // namespace
}  // namespace vmm
