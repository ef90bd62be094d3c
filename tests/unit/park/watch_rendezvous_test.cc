// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/watch_rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fake_vcpu.h"

namespace vmm {
namespace {

using psci::VcpuId;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr VcpuId kFirst{0};
constexpr VcpuId kSecond{1};
constexpr VcpuId kThird{2};
constexpr GuestRange kWindow = GuestRange::Fixed(0x407f0000, 0x30000);
constexpr std::chrono::seconds kPatience(20);

// Three CPUs, all of which are on.
class WatchRendezvousTest : public testing::Test {
 protected:
  WatchRendezvousTest() {
    for (const VcpuId cpu : {kFirst, kSecond, kThird}) {
      EXPECT_TRUE(power_.PowerOn(cpu, {}));
      EXPECT_TRUE(power_.AwaitBoot(cpu).has_value());
    }
  }
  FakeVcpu& Vcpu(VcpuId cpu) { return vcpus_[psci::Index(cpu)]; }
  WatchRendezvous Made(std::chrono::seconds limit,
                       GuestRange window = kWindow) {
    return WatchRendezvous(window, {.power = power_,
                                    .nudge =
                                        [this](uint32_t cpu) {
                                          nudged_.push_back(cpu);
                                          if (on_nudge_) on_nudge_(cpu);
                                        },
                                    .must_watch = must_watch_,
                                    .limit = limit});
  }
  void Watch(VcpuId cpu) { EXPECT_TRUE(watchers_.Watch(cpu, Vcpu(cpu)).ok()); }
  // Whether the waiting CPU, in a thread of its own, is still waiting is for
  // the caller to find out.
  std::future<absl::Status> AwaitsAll(VcpuId cpu) {
    return std::async(std::launch::async, [this, cpu] {
      return watchers_.AwaitAll(cpu, Vcpu(cpu));
    });
  }

  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}, psci::Mpidr{2}}};
  std::vector<uint32_t> nudged_;
  std::function<void(uint32_t)> on_nudge_;
  std::atomic<bool> must_watch_ = false;
  std::array<FakeVcpu, 3> vcpus_{FakeVcpu(0), FakeVcpu(1), FakeVcpu(2)};
  WatchRendezvous watchers_ = Made(kPatience);
};

// A watchpoint's range is a power of two in size, and aligned to that.
TEST_F(WatchRendezvousTest, TheSmallestRangeAroundTheWindowIsWatched) {
  struct Case {
    GuestRange window;
    const char* call;
  };
  for (const Case& c : {Case{kWindow, "watch 0x40000000+0x1000000"},
                        Case{GuestRange::Fixed(0x40800000, 0x10000),
                             "watch 0x40800000+0x10000"},
                        Case{GuestRange::Fixed(0x40810000, 0x20000),
                             "watch 0x40800000+0x40000"},
                        Case{GuestRange::Fixed(0x43de0000, 0x20000),
                             "watch 0x43de0000+0x20000"}}) {
    FakeVcpu vcpu(0);
    WatchRendezvous watchers = Made(kPatience, c.window);
    ASSERT_TRUE(watchers.Watch(kFirst, vcpu).ok());
    EXPECT_THAT(vcpu.calls(), ElementsAre(c.call));
  }
}

TEST_F(WatchRendezvousTest, WhoeverRunsWatchesFromTheFirstOpeningOn) {
  EXPECT_FALSE(watchers_.NeedsWatch(kSecond));
  watchers_.BeginOpening();
  EXPECT_TRUE(watchers_.NeedsWatch(kSecond));
  Watch(kSecond);
  EXPECT_FALSE(watchers_.NeedsWatch(kSecond));
  EXPECT_TRUE(watchers_.NeedsWatch(kThird));
}

TEST_F(WatchRendezvousTest, OnceNothingIsWritableNobodyNeedsToWatch) {
  watchers_.BeginOpening();
  watchers_.EndOpening(true);
  EXPECT_TRUE(must_watch_);
  watchers_.AllClosed();
  EXPECT_FALSE(must_watch_);
  watchers_.BeginOpening();
  watchers_.EndOpening(false);  // Nothing was opened in the end.
  EXPECT_FALSE(must_watch_);
}

TEST_F(WatchRendezvousTest, WhoIsAboutToOpenKeepsTheOthersWatching) {
  watchers_.BeginOpening();
  watchers_.BeginOpening();
  watchers_.AllClosed();
  EXPECT_TRUE(must_watch_);
  watchers_.EndOpening(false);
  EXPECT_TRUE(must_watch_);
  watchers_.EndOpening(false);
  EXPECT_FALSE(must_watch_);
}

TEST_F(WatchRendezvousTest, ACpuThatIsOffEndsItsWatchOnce) {
  EXPECT_TRUE(watchers_.EndWatch(kSecond, Vcpu(kSecond)).ok());
  EXPECT_THAT(Vcpu(kSecond).calls(), IsEmpty());
  watchers_.BeginOpening();
  Watch(kSecond);
  EXPECT_TRUE(watchers_.EndWatch(kSecond, Vcpu(kSecond)).ok());
  EXPECT_TRUE(watchers_.EndWatch(kSecond, Vcpu(kSecond)).ok());
  EXPECT_THAT(Vcpu(kSecond).calls(),
              ElementsAre("watch 0x40000000+0x1000000", "end debug"));
  EXPECT_TRUE(watchers_.NeedsWatch(kSecond));
}

TEST_F(WatchRendezvousTest, AfterAStepTheWatchIsSetAgainIfThereWasOne) {
  EXPECT_TRUE(watchers_.Restore(kFirst, Vcpu(kFirst)).ok());
  EXPECT_THAT(Vcpu(kFirst).calls(), ElementsAre("end debug"));
  Watch(kSecond);
  EXPECT_TRUE(watchers_.Restore(kSecond, Vcpu(kSecond)).ok());
  EXPECT_THAT(Vcpu(kSecond).calls(), ElementsAre("watch 0x40000000+0x1000000",
                                                 "watch 0x40000000+0x1000000"));
}

TEST_F(WatchRendezvousTest, WhoWaitsWatchesAndCallsTheOthersOut) {
  ASSERT_FALSE(power_.PowerOff(kThird));
  on_nudge_ = [this](uint32_t cpu) { Watch(VcpuId{cpu}); };
  watchers_.BeginOpening();
  EXPECT_TRUE(watchers_.AwaitAll(kFirst, Vcpu(kFirst)).ok());
  EXPECT_THAT(nudged_, ElementsAre(1u));
  EXPECT_FALSE(watchers_.NeedsWatch(kFirst));
  EXPECT_TRUE(watchers_.AwaitAll(kFirst, Vcpu(kFirst)).ok());
  EXPECT_THAT(nudged_, ElementsAre(1u));  // It watches already.
  EXPECT_THAT(Vcpu(kFirst).calls(), ElementsAre("watch 0x40000000+0x1000000"));
}

TEST_F(WatchRendezvousTest, WhoWaitsGoesOnWhenAllWatch) {
  std::promise<void> called;
  on_nudge_ = [&](uint32_t cpu) {
    if (cpu == 2) called.set_value();
    if (cpu == 1) Watch(kSecond);
  };
  watchers_.BeginOpening();
  auto waits = AwaitsAll(kFirst);
  called.get_future().wait();
  Watch(kThird);
  ASSERT_EQ(waits.wait_for(kPatience / 2), std::future_status::ready);
  EXPECT_TRUE(waits.get().ok());
}

TEST_F(WatchRendezvousTest, AStopEndsTheWait) {
  std::promise<void> called;
  on_nudge_ = [&](uint32_t) { called.set_value(); };
  watchers_.BeginOpening();
  auto waits = AwaitsAll(kFirst);
  called.get_future().wait();
  watchers_.RequestStop();
  ASSERT_EQ(waits.wait_for(kPatience / 2), std::future_status::ready);
  EXPECT_TRUE(waits.get().ok());
  EXPECT_THAT(nudged_, ElementsAre(1u));
}

TEST_F(WatchRendezvousTest, ACpuThatDoesNotComeIsNamed) {
  WatchRendezvous watchers = Made(std::chrono::seconds(0));
  watchers.BeginOpening();
  ASSERT_TRUE(watchers.Watch(kSecond, Vcpu(kSecond)).ok());
  const absl::Status status = watchers.AwaitAll(kFirst, Vcpu(kFirst));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(),
            "waited 0 s for vCPU 2 to leave the guest and watch its park page");
}

TEST_F(WatchRendezvousTest, WhatKvmRefusesIsTold) {
  FakeVcpu vcpu(0);
  vcpu.fails = "watch";
  watchers_.BeginOpening();
  EXPECT_FALSE(watchers_.Watch(kFirst, vcpu).ok());
  EXPECT_TRUE(watchers_.NeedsWatch(kFirst));
  EXPECT_FALSE(watchers_.AwaitAll(kFirst, vcpu).ok());
  EXPECT_THAT(nudged_, IsEmpty());
  vcpu.fails = "";
  EXPECT_TRUE(watchers_.Watch(kFirst, vcpu).ok());
  vcpu.fails = "end debug";
  EXPECT_FALSE(watchers_.EndWatch(kFirst, vcpu).ok());
}

}  // namespace
}  // namespace vmm
