// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/guest_address.h"

#include <gtest/gtest.h>

namespace vmm {
namespace {

// From a variable: a constant would be worked out by the compiler.
GuestRange Range(uint64_t base, uint64_t size) {
  return GuestRange::Make(GuestAddress(base), size).value();
}

TEST(GuestRangeTest, IsNeitherEmptyNorDoesItWrap) {
  EXPECT_EQ(GuestRange::Make(GuestAddress(0x1000), 0), std::nullopt);
  EXPECT_EQ(GuestRange::Make(GuestAddress(UINT64_MAX), 2), std::nullopt);
  EXPECT_EQ(GuestRange::Make(GuestAddress(1), UINT64_MAX).value().last(),
            GuestAddress(UINT64_MAX));
  EXPECT_EQ(Range(UINT64_MAX, 1).last(), GuestAddress(UINT64_MAX));
  EXPECT_EQ(Range(0x1000, 0x10).last(), GuestAddress(0x100f));
}

TEST(GuestRangeTest, ContainsItsEnds) {
  const GuestRange range = Range(0x1000, 0x10);
  EXPECT_FALSE(range.Contains(GuestAddress(0xfff)));
  EXPECT_TRUE(range.Contains(GuestAddress(0x1000)));
  EXPECT_TRUE(range.Contains(GuestAddress(0x100f)));
  EXPECT_FALSE(range.Contains(GuestAddress(0x1010)));
}

TEST(GuestRangeTest, ContainsARangeOnlyAsAWhole) {
  const GuestRange range = Range(0x1000, 0x10);
  EXPECT_TRUE(range.Contains(range));
  EXPECT_TRUE(range.Contains(Range(0x100f, 1)));
  EXPECT_FALSE(range.Contains(Range(0x100f, 2)));
  EXPECT_FALSE(range.Contains(Range(0xfff, 2)));
  EXPECT_FALSE(range.Contains(Range(0xfff, 0x12)));
}

TEST(GuestRangeTest, OverlapsWhatSharesAByte) {
  const GuestRange range = Range(0x1000, 0x10);
  EXPECT_TRUE(range.Overlaps(range));
  EXPECT_TRUE(range.Overlaps(Range(0xfff, 2)));
  EXPECT_TRUE(range.Overlaps(Range(0x100f, 1)));
  EXPECT_TRUE(range.Overlaps(Range(0, 0x10000)));
  EXPECT_FALSE(range.Overlaps(Range(0xff0, 0x10)));
  EXPECT_FALSE(range.Overlaps(Range(0x1010, 1)));
}

}  // namespace
}  // namespace vmm
