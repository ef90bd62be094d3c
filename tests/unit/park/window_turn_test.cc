// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/window_turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <vector>

namespace vmm {
namespace {

using psci::VcpuId;
using std::chrono::steady_clock;
using testing::Each;
using testing::IsEmpty;
using testing::Not;

constexpr std::chrono::milliseconds kTick(1);  // As in window_turn.cc.
constexpr std::chrono::seconds kPatience(20);

class WindowTurnTest : public testing::Test {
 protected:
  Mutex mutex_;
  std::vector<uint32_t> nudged_;
  const std::function<void(uint32_t)> nudge_ = [this](uint32_t vcpu) {
    nudged_.push_back(vcpu);
  };
  std::atomic<bool> stopped_ = false;
  CondVar changed_;
  WindowTurn turn_{nudge_, stopped_, changed_};
};

TEST_F(WindowTurnTest, ItIsOnesTurnUntilItEnds) {
  const MutexLock lock(mutex_);
  EXPECT_FALSE(turn_.IsTaken());
  EXPECT_TRUE(turn_.Begin(mutex_));
  EXPECT_TRUE(turn_.IsTaken());
  turn_.End();
  EXPECT_FALSE(turn_.IsTaken());
  turn_.Take();
  EXPECT_TRUE(turn_.IsTaken());
}

TEST_F(WindowTurnTest, TheNextOneWaitsForTheEnd) {
  bool ended = false;
  mutex_.lock();
  turn_.Take();
  auto next = std::async(std::launch::async, [this, &ended] {
    const MutexLock lock(mutex_);
    const bool begun = turn_.Begin(mutex_);
    return begun && ended && turn_.IsTaken();
  });
  // The other thread has the mutex now and then.
  for (int i = 0; i < 3; ++i) turn_.AwaitChange(mutex_);
  EXPECT_TRUE(turn_.IsTaken());
  ended = true;
  turn_.End();
  mutex_.unlock();
  ASSERT_EQ(next.wait_for(kPatience), std::future_status::ready);
  EXPECT_TRUE(next.get());
}

TEST_F(WindowTurnTest, AfterAStopItIsNobodysTurn) {
  const MutexLock lock(mutex_);
  stopped_ = true;
  EXPECT_FALSE(turn_.Begin(mutex_));
  EXPECT_FALSE(turn_.IsTaken());
  turn_.Take();
  EXPECT_FALSE(turn_.Begin(mutex_));  // Nor does it wait.
}

TEST_F(WindowTurnTest, AStepThatLastsIsEndedByWhoeverWaits) {
  const MutexLock lock(mutex_);
  turn_.Take();
  turn_.BeginStep(VcpuId{3});
  const auto end = steady_clock::now() + kPatience;
  while (nudged_.empty() && steady_clock::now() < end) {
    turn_.AwaitChange(mutex_);
  }
  EXPECT_THAT(nudged_, Not(IsEmpty()));
  EXPECT_THAT(nudged_, Each(3u));
}

// A busy machine makes a step last: then it is tried again.
TEST_F(WindowTurnTest, AStepThatHasJustBegunIsNotEnded) {
  const auto end = steady_clock::now() + kPatience;
  auto lasted = steady_clock::duration::max();
  while (lasted >= kTick && steady_clock::now() < end) {
    nudged_.clear();
    const auto begin = steady_clock::now();
    turn_.BeginStep(VcpuId{3});
    turn_.EndLongStep();
    lasted = steady_clock::now() - begin;
  }
  ASSERT_LT(lasted, kTick);
  EXPECT_THAT(nudged_, IsEmpty());
}

TEST_F(WindowTurnTest, NobodyIsCalledOutWhereNobodySteps) {
  const MutexLock lock(mutex_);
  turn_.Take();
  turn_.BeginStep(VcpuId{3});
  turn_.EndStep();
  for (int i = 0; i < 3; ++i) turn_.AwaitChange(mutex_);
  EXPECT_THAT(nudged_, IsEmpty());
}

}  // namespace
}  // namespace vmm
