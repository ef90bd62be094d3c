// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/power_table.h"

#include <gtest/gtest.h>
#include <time.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

namespace psci {
namespace {

constexpr VcpuId kBoot{0};
constexpr VcpuId kOther{1};
constexpr BootContext kContext = {0x40080000, 42};

std::vector<Mpidr> Topology(uint32_t vcpus) {
  std::vector<Mpidr> topology;
  for (uint32_t i = 0; i < vcpus; ++i) {  // As KVM: 16 CPUs per Aff0.
    topology.push_back(Mpidr{(i & 0xf) | (uint64_t{i} >> 4) << 8});
  }
  return topology;
}

// A table whose CPU 0 is on.
class PowerTableTest : public testing::Test {
 protected:
  PowerTableTest() : table_(Topology(4)) { TurnOn(kBoot); }
  void TurnOn(VcpuId vcpu) {
    ASSERT_TRUE(table_.PowerOn(vcpu, kContext));
    ASSERT_TRUE(table_.AwaitBoot(vcpu).has_value());
  }
  PowerTable table_;
};

TEST(PowerStateTest, OnlyTheEdgesOfTheListAreLegal) {
  using enum PowerState;
  const std::vector<PowerState> all = {kOff, kClaimed, kOnPending, kOn};
  for (const PowerState from : all) {
    for (const PowerState to : all) {
      const bool expected = (from == kOff && to == kClaimed) ||
                            (from == kClaimed && to == kOnPending) ||
                            (from == kOnPending && to == kOn) ||
                            (from == kOn && to == kOff);
      EXPECT_EQ(IsLegal(from, to), expected)
          << Name(from) << " -> " << Name(to);
    }
  }
}

// Now and then it ends earlier, but not each time.
TEST(SharedWordTest, ASleepLastsUntilItsDeadline) {
  const SharedWord<uint32_t> word("word", 5);
  bool lasted = false;
  for (int i = 0; i < 10 && !lasted; ++i) {
    const int64_t end = MonotonicNs() + 100'000'000;
    SleepOn(word, 5, end);
    lasted = MonotonicNs() >= end;
  }
  EXPECT_TRUE(lasted);
}

TEST_F(PowerTableTest, FindsByAffinityAndNothingElse) {
  PowerTable table(Topology(20));
  EXPECT_EQ(table.Find(Mpidr{0x100}), VcpuId{16});
  EXPECT_EQ(table.Find(Mpidr{0x103}), VcpuId{19});
  EXPECT_EQ(table.Find(Mpidr{0x104}), std::nullopt);  // One past the last.
  // The same where nothing lies behind the last: ASan sees a look at it.
  EXPECT_EQ(PowerTable(Topology(16)).Find(Mpidr{0x100}), std::nullopt);
  EXPECT_EQ(table.Find(Mpidr{16}), std::nullopt);
  EXPECT_EQ(table.Find(Mpidr{0x80000000}), std::nullopt);
}

TEST_F(PowerTableTest, CpuOnDeliversItsContextToTheTarget) {
  ASSERT_TRUE(table_.PowerOn(kOther, kContext));
  EXPECT_EQ(table_.StateOf(kOther), PowerState::kOnPending);
  EXPECT_EQ(table_.AwaitBoot(kOther), kContext);
  EXPECT_EQ(table_.StateOf(kOther), PowerState::kOn);
}

TEST_F(PowerTableTest, ALosingCpuOnDoesNotTouchTheWinnersContext) {
  ASSERT_TRUE(table_.PowerOn(kOther, kContext));
  EXPECT_FALSE(table_.PowerOn(kOther, {0xbad, 0xbad}));
  EXPECT_EQ(table_.AwaitBoot(kOther), kContext);
  EXPECT_FALSE(table_.PowerOn(kOther, {0xbad, 0xbad}));
}

TEST_F(PowerTableTest, OffThenOnAgainTakesTheNewContext) {
  TurnOn(kOther);
  EXPECT_FALSE(table_.PowerOff(kOther));
  EXPECT_EQ(table_.StateOf(kOther), PowerState::kOff);
  ASSERT_TRUE(table_.PowerOn(kOther, {0x50000000, 7}));
  EXPECT_EQ(table_.AwaitBoot(kOther), (BootContext{0x50000000, 7}));
}

TEST_F(PowerTableTest, TheLastCpuToLeaveIsTold) {
  TurnOn(kOther);
  EXPECT_FALSE(table_.PowerOff(kOther));
  EXPECT_TRUE(table_.PowerOff(kBoot));
}

TEST_F(PowerTableTest, ACpuThatIsStartingIsNotTheLast) {
  ASSERT_TRUE(table_.PowerOn(kOther, kContext));
  EXPECT_FALSE(table_.PowerOff(kBoot));
}

TEST_F(PowerTableTest, ShutdownEndsEveryWaitNowAndLater) {
  std::thread waiter(
      [&] { EXPECT_EQ(table_.AwaitBoot(kOther), std::nullopt); });
  table_.Shutdown();
  waiter.join();
  EXPECT_EQ(table_.AwaitBoot(VcpuId{2}), std::nullopt);
}

TEST_F(PowerTableTest, ShutdownComesBeforeAPendingStart) {
  ASSERT_TRUE(table_.PowerOn(kOther, kContext));
  table_.Shutdown();
  EXPECT_EQ(table_.AwaitBoot(kOther), std::nullopt);
}

TEST_F(PowerTableTest, RemembersWhenTheLastCpuLeft) {
  const auto now = [] {
    return std::chrono::steady_clock::now().time_since_epoch() /
           std::chrono::nanoseconds(1);
  };
  EXPECT_EQ(table_.LastOffNs(), 0);
  for (int i = 0; i < 2; ++i) {
    TurnOn(kOther);
    const int64_t before = now();
    EXPECT_FALSE(table_.PowerOff(kOther));
    EXPECT_GE(table_.LastOffNs(), before);
    EXPECT_LE(table_.LastOffNs(), now());
  }
}

TEST_F(PowerTableTest, StaysOffSaysWhetherAnythingHappened) {
  using std::chrono::milliseconds;
  EXPECT_TRUE(table_.StaysOff(kOther, milliseconds(1)));
  std::thread waiter(
      [&] { EXPECT_FALSE(table_.StaysOff(kOther, std::chrono::minutes(5))); });
  ASSERT_TRUE(table_.PowerOn(kOther, kContext));
  waiter.join();
  table_.Shutdown();
  EXPECT_FALSE(table_.StaysOff(VcpuId{2}, std::chrono::minutes(5)));
}

TEST_F(PowerTableTest, AStartIsSeenBeforeItIsTaken) {
  using By = PowerTable::By;
  ASSERT_TRUE(table_.PowerOn(kOther, kContext));
  EXPECT_EQ(table_.AwaitStart(kOther), By::kCpuOn);
  EXPECT_EQ(table_.StateOf(kOther), PowerState::kOnPending);
  EXPECT_FALSE(table_.PowerOn(kOther, {0xbad, 0xbad}));
  EXPECT_EQ(table_.AwaitBoot(kOther), kContext);
  EXPECT_FALSE(table_.PowerOff(kOther, Door::kPage));
  ASSERT_TRUE(table_.Release(kOther, Door::kPage, kContext));
  EXPECT_EQ(table_.AwaitStart(kOther), By::kRelease);
  table_.Shutdown();
  EXPECT_EQ(table_.AwaitStart(kOther), std::nullopt);
}

TEST_F(PowerTableTest, ASleepEndsWithItsDeadlineOrTheMachine) {
  const auto in = [](std::chrono::nanoseconds how_long) {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec + how_long.count();
  };
  const int64_t soon = in(std::chrono::milliseconds(2));
  EXPECT_TRUE(table_.SleepUntil(kBoot, soon));
  EXPECT_GE(in({}), soon);
  EXPECT_TRUE(table_.SleepUntil(kBoot, -1));  // Long ago.
  std::thread sleeper([&] {
    EXPECT_FALSE(table_.SleepUntil(kBoot, in(std::chrono::minutes(5))));
  });
  table_.Shutdown();
  sleeper.join();
  EXPECT_FALSE(table_.SleepUntil(kBoot, in({})));
}

TEST_F(PowerTableTest, NobodyIsTurnedOnAfterShutdown) {
  table_.Shutdown();
  EXPECT_FALSE(table_.PowerOn(kOther, kContext));
  EXPECT_EQ(table_.StateOf(kOther), PowerState::kOff);
}

TEST_F(PowerTableTest, AReleaseStartsOnlyWhoLeftByThatDoor) {
  EXPECT_FALSE(table_.Release(kOther, Door::kPage, kContext));
  TurnOn(kOther);
  EXPECT_FALSE(table_.Release(kOther, Door::kPage, kContext));
  EXPECT_FALSE(table_.PowerOff(kOther, Door::kPage));
  EXPECT_EQ(table_.StateOf(kOther), PowerState::kOff);
  EXPECT_TRUE(table_.IsParked(kOther, Door::kPage));
  EXPECT_FALSE(table_.IsParked(kOther, Door::kDevice));
  EXPECT_FALSE(table_.Release(kOther, Door::kDevice, {0xbad, 0xbad}));
  ASSERT_TRUE(table_.Release(kOther, Door::kPage, kContext));
  EXPECT_FALSE(table_.Release(kOther, Door::kPage, {0xbad, 0xbad}));
  EXPECT_EQ(table_.AwaitBoot(kOther), kContext);
  EXPECT_FALSE(table_.IsParked(kOther, Door::kPage));
}

TEST_F(PowerTableTest, CpuOnStartsWhoeverIsOffByWhateverDoor) {
  for (const Door door : {Door::kCpuOff, Door::kPage, Door::kDevice}) {
    TurnOn(kOther);
    EXPECT_FALSE(table_.PowerOff(kOther, door));
    EXPECT_TRUE(table_.StaysOff(kOther, std::chrono::milliseconds(1)));
    ASSERT_TRUE(table_.PowerOn(kOther, kContext));
    EXPECT_FALSE(table_.Release(kOther, door, {0xbad, 0xbad}));
    EXPECT_EQ(table_.AwaitBoot(kOther), kContext);
    EXPECT_FALSE(table_.PowerOff(kOther));
  }
}

// Two callers that both see "off" and both report success is the bug that
// bao #386 and vml have: exactly one must win, and its context must be used.
TEST(PowerTableRaceTest, ExactlyOneOfManyCpuOnCallsWins) {
  constexpr int kCallers = 4;
  constexpr int kRounds = 500;
  PowerTable table(Topology(2));
  ASSERT_TRUE(table.PowerOn(kBoot, {}));
  ASSERT_TRUE(table.AwaitBoot(kBoot).has_value());
  std::atomic<int> wins = 0;
  std::atomic<uint64_t> winner = 0;
  std::barrier round(kCallers + 1);
  std::vector<std::jthread> callers;
  for (uint64_t caller = 1; caller <= kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < kRounds; ++i) {
        round.arrive_and_wait();
        if (table.PowerOn(kOther, {caller, caller})) {
          ++wins;
          winner = caller;
        }
        round.arrive_and_wait();
      }
    });
  }
  for (int i = 0; i < kRounds; ++i) {
    round.arrive_and_wait();
    const auto context = table.AwaitBoot(kOther);
    round.arrive_and_wait();
    ASSERT_TRUE(context.has_value());
    EXPECT_EQ(wins.exchange(0), 1);
    EXPECT_EQ(context->entry, winner.load());
    EXPECT_EQ(context->context_id, winner.load());
    EXPECT_FALSE(table.PowerOff(kOther));
  }
}

// Every SUCCESS is followed by exactly one start, also when CPU_ON chases
// CPU_OFF of the same CPU: tf-issues #302 and #349.
TEST(PowerTableRaceTest, CpuOnChasingCpuOffStartsOncePerSuccess) {
  constexpr uint64_t kStarts = 2000;
  PowerTable table(Topology(2));
  ASSERT_TRUE(table.PowerOn(kBoot, {}));
  ASSERT_TRUE(table.AwaitBoot(kBoot).has_value());
  std::jthread target([&] {
    for (uint64_t i = 0; i < kStarts; ++i) {
      const auto context = table.AwaitBoot(kOther);
      ASSERT_TRUE(context.has_value());
      EXPECT_EQ(context->context_id, i);
      EXPECT_FALSE(table.PowerOff(kOther));
    }
  });
  for (uint64_t i = 0; i < kStarts; ++i) {
    while (!table.PowerOn(kOther, {0, i})) std::this_thread::yield();
  }
}

}  // namespace
}  // namespace psci
