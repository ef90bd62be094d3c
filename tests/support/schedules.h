// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_SCHEDULES_H_
#define PARKVMM_TESTS_SUPPORT_SCHEDULES_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <memory>

#include "tests/model/scheduler.h"

namespace model {

// Explores all schedules of a W and says how many there are. Fewer states than
// `at_least` are a failure: the threads no longer do what they did.
template <typename W>
void ExpectAllAreRight(uint64_t at_least, const Limits& limits = {}) {
  const Explored explored = ExploreAll(
      [](uint64_t) -> std::unique_ptr<World> { return std::make_unique<W>(); },
      limits);
  ASSERT_EQ(explored.wrong, "") << explored.trace;
  EXPECT_GE(explored.states, at_least);
  std::cout << explored.states << " states, " << explored.schedules
            << " schedules of " << explored.interleavings << " interleavings, "
            << explored.steps << " steps\n";
}

// Runs random schedules of W(seed); fewer steps than `at_least` are a failure.
template <typename W>
void ExpectWalksAreRight(uint64_t schedules, uint64_t at_least,
                         const Limits& limits = {}) {
  const Explored explored = WalkAtRandom(
      [](uint64_t seed) -> std::unique_ptr<World> {
        return std::make_unique<W>(seed);
      },
      /*first_seed=*/1, schedules, limits);
  ASSERT_EQ(explored.wrong, "") << explored.trace;
  EXPECT_GE(explored.steps, at_least);
  std::cout << explored.schedules << " schedules at random, " << explored.steps
            << " steps\n";
}

}  // namespace model

#endif  // PARKVMM_TESTS_SUPPORT_SCHEDULES_H_
