// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/post_mortem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(PostMortemTest, EachCpuHasItsNumberAndItsAffinity) {
  const auto lines = DescribePostMortem(
      {"Kernel panic"},
      {{.state = psci::PowerState::kOn, .pc = 0x40080000},
       {.state = psci::PowerState::kOff, .door = psci::Door::kCpuOff}},
      {0x80000000, 0x80000100}, nullptr);
  EXPECT_THAT(lines, ElementsAre("last lines of the guest's console:",
                                 "  | Kernel panic",
                                 StartsWith("vCPU 0 (MPIDR 0x80000000): "),
                                 StartsWith("vCPU 1 (MPIDR 0x80000100): ")));
  EXPECT_THAT(lines[2], HasSubstr("0x40080000"));
}

}  // namespace
}  // namespace vmm
