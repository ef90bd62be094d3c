// SPDX-License-Identifier: Apache-2.0
// Times that have passed, or that are years away: nothing here waits.
#include "vmm/base/alarm.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace vmm {
namespace {

constexpr int64_t kYearS = 365 * 24 * 3600;

class AlarmTest : public testing::Test {
 protected:
  // A timer whose time has passed is told before timerfd_settime() returns.
  bool Rings() {
    pollfd told = {.fd = alarm_.fd(), .events = POLLIN};
    return poll(&told, 1, 0) == 1;
  }

  const Alarm alarm_ = *Alarm::Create();
};

TEST_F(AlarmTest, RingsFromItsSecondOnUntilItIsTaken) {
  alarm_.Set(Alarm::NowS());
  EXPECT_TRUE(Rings());
  EXPECT_TRUE(Rings());
  alarm_.Take();
  EXPECT_FALSE(Rings());
}

TEST_F(AlarmTest, TakingWhatDoesNotRingDoesNotWait) {
  alarm_.Take();
  EXPECT_FALSE(Rings());
}

TEST_F(AlarmTest, TheLastTimeThatWasSetStands) {
  alarm_.Set(Alarm::NowS() + kYearS);
  EXPECT_FALSE(Rings());
  alarm_.Set(Alarm::NowS() - kYearS);
  EXPECT_TRUE(Rings());
  alarm_.Set(Alarm::NowS() + kYearS);
  EXPECT_FALSE(Rings());
}

TEST_F(AlarmTest, NoneIsNoneHoweverLongAgo) {
  alarm_.Set(0);
  EXPECT_TRUE(Rings());
  alarm_.Set(std::nullopt);
  EXPECT_FALSE(Rings());
}

}  // namespace
}  // namespace vmm
