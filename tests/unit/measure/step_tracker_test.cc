// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/step_tracker.h"

#include <gtest/gtest.h>

#include <string_view>

#include "tests/unit/measure/story.h"

namespace vmm {
namespace {

constexpr uint64_t Step(uint16_t cpu, uint16_t number) {
  return cpu | uint64_t{number} << 16;
}

uint64_t Name(uint16_t number, std::string_view text) {
  uint64_t value = number;
  for (size_t i = 0; i < text.size(); ++i) {
    value |= uint64_t{static_cast<unsigned char>(text[i])} << (16 + 8 * i);
  }
  return value;
}

TEST(StepTrackerTest, StepsOfACpuAreNestedAndAddUp) {
  StepTracker steps;
  steps.AddName(Name(44, "sche"));
  steps.AddName(Name(44, "d"));
  steps.Enter(110, Step(1, 200));
  steps.Enter(115, Step(2, 7));
  steps.Enter(120, Step(1, 44));
  steps.Exit(150, Step(1, 44), false);
  steps.Exit(160, Step(1, 200), false);
  steps.Exit(170, Step(2, 7), true);
  const auto ended = steps.Ended();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->down, (StepTimes{{1, {{"sched", 30}, {"step 200", 20}}}}));
  EXPECT_EQ(ended->up, (StepTimes{{2, {{"step 7", 55}}}}));
}

TEST(StepTrackerTest, AStepThatComesAgainAddsUp) {
  StepTracker steps;
  for (const int64_t ns : {100, 200}) {
    steps.Enter(ns, Step(1, 7));
    steps.Exit(ns + 5, Step(1, 7), false);
  }
  EXPECT_EQ(steps.Ended()->down, (StepTimes{{1, {{"step 7", 10}}}}));
}

TEST(StepTrackerTest, WhatDoesNotNestIsNoStep) {
  StepTracker steps;
  steps.Exit(100, Step(1, 7), false);
  steps.Enter(110, Step(1, 7));
  steps.Exit(120, Step(1, 8), false);
  EXPECT_FALSE(steps.Ended());
}

TEST(StepTrackerTest, AKexecForgetsStepsAndKeepsNames) {
  StepTracker steps;
  steps.AddName(Name(7, "x"));
  steps.Enter(100, Step(1, 7));
  steps.Enter(100, Step(2, 7));
  steps.Exit(110, Step(2, 7), false);
  steps.Begin();
  EXPECT_FALSE(steps.Ended());
  steps.Exit(120, Step(1, 7), false);
  steps.Enter(130, Step(1, 7));
  steps.Exit(131, Step(1, 7), false);
  EXPECT_EQ(steps.Ended()->down, (StepTimes{{1, {{"x", 1}}}}));
}

TEST(StepTrackerTest, WhatAGuestMakesUsKeepIsBounded) {
  StepTracker steps;
  for (size_t i = 0; i < 2 * StepTracker::kMaxOpen; ++i) {
    steps.Enter(0, Step(1, 7));
    steps.AddName(Name(7, "\n\xff\"x"));
  }
  for (size_t i = 0; i < 2 * StepTracker::kMaxOpen; ++i) {
    steps.Exit(1, Step(1, 7), false);
  }
  const auto ended = steps.Ended();
  ASSERT_TRUE(ended);
  ASSERT_EQ(ended->down.at(1).size(), 1u);
  const auto& [name, ns] = *ended->down.at(1).begin();
  EXPECT_EQ(name.size(), StepTracker::kMaxNameChars);
  EXPECT_EQ(name.substr(0, 4), "??\"x");
}

TEST(StepTrackerTest, AreOfTheKexecThatTheyAreMarkedIn) {
  Story story(2);
  story.Boot(0, 2);
  const auto step = [&](int64_t ns) {
    story.Mark(ns, MARK_CODE_STEP_ENTER, Step(1, 7));
    story.Mark(ns + 5, MARK_CODE_STEP_EXIT, Step(1, 7));
  };
  step(900);
  story.Mark(1000, MARK_CODE_KEXEC, 2);
  step(1010);
  story.TurnOff(1100, 1);
  story.Psci(1500, 0, PSCI_VERSION);
  step(1510);
  step(1520);
  story.TurnOn(1600, 1);
  story.Mark(1700, MARK_CODE_UP, 2);
  step(1800);
  const auto& steps = story.tracker.boots()[1].steps;
  ASSERT_TRUE(steps);
  EXPECT_EQ(steps->down, (StepTimes{{1, {{"step 7", 5}}}}));
  EXPECT_EQ(steps->up, (StepTimes{{1, {{"step 7", 10}}}}));
  EXPECT_FALSE(story.tracker.boots()[0].steps);
}

TEST(StepTrackerTest, AStepsTimeLacksThatOfTheStepRightInsideOnly) {
  StepTracker steps;
  steps.Enter(0, Step(1, 1));
  steps.Enter(10, Step(1, 2));
  steps.Enter(30, Step(1, 3));
  steps.Exit(70, Step(1, 3), false);
  steps.Exit(90, Step(1, 2), false);
  steps.Exit(100, Step(1, 1), false);
  EXPECT_EQ(steps.Ended()->down,
            (StepTimes{{1, {{"step 1", 20}, {"step 2", 40}, {"step 3", 40}}}}));
}

TEST(StepTrackerTest, AKexecForgetsStepsUp) {
  StepTracker steps;
  steps.Enter(100, Step(1, 7));
  steps.Exit(110, Step(1, 7), true);
  ASSERT_TRUE(steps.Ended());
  steps.Begin();
  EXPECT_FALSE(steps.Ended());
}

TEST(StepTrackerTest, StepsAreNestedToALimit) {
  for (const size_t room : {size_t{0}, size_t{1}}) {
    StepTracker steps;
    for (size_t i = 0; i < StepTracker::kMaxOpen - room; ++i) {
      steps.Enter(0, Step(1, 7));
    }
    steps.Enter(0, Step(1, 8));
    steps.Exit(5, Step(1, 8), false);
    EXPECT_EQ(steps.Ended().has_value(), room == 1);
  }
}

TEST(StepTrackerTest, AsManyStepsAreKeptAsThereIsRoomFor) {
  StepTracker steps;
  for (size_t i = 0; i < StepTracker::kMaxSteps + 10; ++i) {
    const uint64_t step = Step(static_cast<uint16_t>(i >> 15), i & 0x7fff);
    steps.Enter(0, step);
    steps.Exit(1, step, i % 2 == 0);
  }
  const auto ended = steps.Ended();
  size_t kept = 0;
  for (const StepTimes* times : {&ended->down, &ended->up}) {
    for (const auto& [cpu, of_cpu] : *times) kept += of_cpu.size();
  }
  EXPECT_EQ(kept, StepTracker::kMaxSteps);
}

TEST(StepTrackerTest, AsManyNamesAreKeptAsThereIsRoomFor) {
  StepTracker steps;
  constexpr uint16_t kLast = StepTracker::kMaxNames - 1;
  for (uint16_t i = 0; i <= kLast; ++i) steps.AddName(Name(i, "ab"));
  steps.AddName(Name(kLast + 1, "ab"));  // One too many.
  steps.AddName(Name(kLast, "c"));       // Goes on.
  for (const uint16_t number : {kLast, uint16_t{kLast + 1}}) {
    steps.Enter(0, Step(1, number));
    steps.Exit(1, Step(1, number), false);
  }
  EXPECT_EQ(steps.Ended()->down,
            (StepTimes{{1, {{"abc", 1}, {"step 4096", 1}}}}));
}

TEST(StepTrackerTest, AMarkHasFourCharacters) {
  StepTracker steps;
  steps.AddName(Name('A', "abcdef"));  // Two too many.
  steps.Enter(0, Step(1, 'A'));
  steps.Exit(1, Step(1, 'A'), false);
  EXPECT_EQ(steps.Ended()->down, (StepTimes{{1, {{"abcd", 1}}}}));
}

}  // namespace
}  // namespace vmm
