// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace vmm {
namespace {

TEST(SignalsTest, OneThatEndsARunIsReadAndDoesNothingElse) {
  Signals signals;
  EXPECT_EQ(signals.Take(), 0);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) {
    kill(getpid(), number);
    EXPECT_EQ(signals.Take(), number);
  }
  EXPECT_EQ(signals.Take(), 0);
}

// nohup's.
TEST(SignalsTest, OneThatWasIgnoredStaysSo) {
  signal(SIGHUP, SIG_IGN);
  {
    Signals signals;
    kill(getpid(), SIGHUP);
    EXPECT_EQ(signals.Take(), 0);
  }
  signal(SIGHUP, SIG_DFL);
}

}  // namespace
}  // namespace vmm
