// SPDX-License-Identifier: Apache-2.0
// That the map has no overlap is proven where it stands, at compile time; here
// is that the proof can fail, and that sizes and places fit each other.
#include "vmm/boot/memory_map.h"

#include <gtest/gtest.h>

#include <array>

namespace vmm {
namespace {

constexpr GuestAddress End(const GuestRange& range) {
  return GuestAddress(range.base().value() + range.size());
}

TEST(MemoryMapTest, OverlapAndDisorderAreSeen) {
  constexpr auto kLow = GuestRange::Fixed(0x1000, 0x1000);
  constexpr auto kNext = GuestRange::Fixed(0x2000, 0x1000);
  constexpr auto kInside = GuestRange::Fixed(0x1fff, 0x1);
  static_assert(AscendingAndDisjoint({}));
  static_assert(AscendingAndDisjoint(std::array{kLow, kNext}));
  static_assert(!AscendingAndDisjoint(std::array{kNext, kLow}));
  static_assert(!AscendingAndDisjoint(std::array{kLow, kInside}));
  static_assert(!AscendingAndDisjoint(std::array{kLow, kLow}));
}

TEST(MemoryMapTest, EveryRangeIsWholePages) {
  for (const GuestRange& range : kFixedRanges) {
    EXPECT_EQ(range.base().value() % kPageSize, 0u);
    EXPECT_EQ(range.size() % kPageSize, 0u);
  }
}

TEST(MemoryMapTest, IsTheMapOfVirt) {
  EXPECT_EQ(kGicDistributor, GuestRange::Fixed(0x08000000, 0x10000));
  EXPECT_EQ(kGicV2CpuInterface.base(), GuestAddress(0x08010000));
  EXPECT_EQ(kGicV3Redistributors.size() / kGicV3RedistributorStride, 123u);
  EXPECT_EQ(kPl011.base(), GuestAddress(0x09000000));
  EXPECT_EQ(kPl031.base(), GuestAddress(0x09010000));
  EXPECT_EQ(kPlatformBus, GuestRange::Fixed(0x0c000000, 0x02000000));
  EXPECT_EQ(kRamWindow.base(), GuestAddress(0x40000000));
}

TEST(MemoryMapTest, RamEndsBelowTheHighRedistributors) {
  EXPECT_EQ(End(kRamWindow), kGicV3HighRedistributors.base());
  EXPECT_GE(kGicV3HighRedistributors.size() / kGicV3RedistributorStride,
            kMaxCpus - 123);
  // KVM's guests have 40 bits of physical addresses unless they ask for more.
  EXPECT_LE(End(kGicV3HighRedistributors), GuestAddress(uint64_t{1} << 40));
}

}  // namespace
}  // namespace vmm
