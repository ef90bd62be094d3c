// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/silence.h"

#include <gtest/gtest.h>

namespace vmm {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(SilenceTest, IsToldOnceAsSoonAsItIsLongEnough) {
  Silence silence(5 * kSecond);
  EXPECT_EQ(silence.Next(), 15 * kSecond);
  EXPECT_EQ(silence.Tell(15 * kSecond - 1), std::nullopt);
  EXPECT_EQ(silence.Tell(15 * kSecond), 10);
  EXPECT_EQ(silence.Tell(15 * kSecond), std::nullopt);
  EXPECT_EQ(silence.Next(), 25 * kSecond);
  EXPECT_EQ(silence.Tell(25 * kSecond - 1), std::nullopt);
  EXPECT_EQ(silence.Tell(25 * kSecond), 20);
}

// Who was not asked for long says it once, not once for each doubling.
TEST(SilenceTest, WhatWasMissedIsNotToldAfterwards) {
  Silence silence(0);
  EXPECT_EQ(silence.Tell(90 * kSecond), 90);
  EXPECT_EQ(silence.Tell(90 * kSecond), std::nullopt);
  EXPECT_EQ(silence.Next(), 160 * kSecond);
}

TEST(SilenceTest, ASignOfLifeBeginsItAnew) {
  Silence silence(0);
  EXPECT_EQ(silence.Tell(40 * kSecond), 40);
  silence.NoteLife(41 * kSecond);
  EXPECT_EQ(silence.Next(), 51 * kSecond);
  EXPECT_EQ(silence.Tell(51 * kSecond), 10);
}

}  // namespace
}  // namespace vmm
