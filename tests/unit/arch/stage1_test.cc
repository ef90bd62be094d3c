// SPDX-License-Identifier: Apache-2.0
#include "vmm/arch/stage1.h"

#include <gtest/gtest.h>

#include <cstring>

namespace vmm {
namespace {

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x800000;

class Stage1Test : public testing::Test {
 protected:
  void Put64(uint64_t address, uint64_t value) {
    uint8_t bytes[8];
    std::memcpy(bytes, &value, 8);
    ASSERT_TRUE(memory_.Write(GuestAddress(address), bytes).ok());
  }
  std::optional<uint64_t> Walk(const Stage1& stage1, uint64_t address) {
    const auto found = Translate(stage1, address, memory_);
    if (!found) return std::nullopt;
    return found->value();
  }
  GuestMemory memory_ =
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize));
};

TEST_F(Stage1Test, WithoutMmuTheAddressIsPhysical) {
  EXPECT_EQ(Walk({.sctlr = 0}, 0x1234), 0x1234u);
}

// As Linux: 48 bits, 4 KiB pages, the upper half.
TEST_F(Stage1Test, WalksFourLevelsOfFourKiB) {
  const uint64_t address = 0xffff800012345678;
  const Stage1 stage1 = {.sctlr = 1,
                         .tcr = 16 | 16ull << 16 | 2ull << 30,
                         .ttbr1 = 0x7ull << 48 | kRam | 1};
  const auto index = [&](unsigned shift) {
    return (address >> shift & 511) * 8;
  };
  Put64(kRam + index(39), (kRam + 0x1000) | 3);
  Put64(kRam + 0x1000 + index(30), (kRam + 0x2000) | 3);
  Put64(kRam + 0x2000 + index(21), (kRam + 0x3000) | 3);
  Put64(kRam + 0x3000 + index(12), 0x0060000055555703 | 1ull << 54);
  EXPECT_EQ(Walk(stage1, address), 0x55555678u);
  EXPECT_EQ(Walk(stage1, address + 0x1000), std::nullopt);
  EXPECT_EQ(Walk(stage1, address | 0xffull << 56), 0x55555678u);  // A tag.
  EXPECT_EQ(Walk(stage1, address & ~(1ull << 55)), std::nullopt);
}

// As guest-stub: 39 bits, 4 KiB, blocks of 1 GiB, the lower half.
TEST_F(Stage1Test, WalksBlocks) {
  const Stage1 stage1 = {
      .sctlr = 1, .tcr = 25 | 1ull << 23, .ttbr0 = kRam + 0x4000};
  Put64(kRam + 0x4000 + 8, 1ull << 30 | 0x701);
  EXPECT_EQ(Walk(stage1, 0x43219870), 0x43219870u);
  EXPECT_EQ(Walk(stage1, 0xffffff8043219870), std::nullopt);  // TTBR1 is off.
}

TEST_F(Stage1Test, WalksPagesOf16And64KiB) {
  const Stage1 sixteen = {
      .sctlr = 1, .tcr = 28 | 2ull << 14, .ttbr0 = kRam + 0x8000};
  Put64(kRam + 0x8000, (kRam + 0xc000) | 3);  // 36 bits: levels 2 and 3.
  Put64(kRam + 0xc000 + 8 * 5, 0x5678c000 | 3);
  EXPECT_EQ(Walk(sixteen, 5 * 0x4000 + 0x24), 0x5678c024u);
  const Stage1 sixty_four = {
      .sctlr = 1, .tcr = 22 | 1ull << 14, .ttbr0 = kRam + 0x10000};
  Put64(kRam + 0x10000 + 8, (kRam + 0x20000) | 3);  // 42 bits: the same.
  Put64(kRam + 0x20000 + 8 * 3, 0x56780000 | 3);
  EXPECT_EQ(Walk(sixty_four, (1ull << 29) + 3 * 0x10000 + 0x10), 0x56780010u);
}

TEST_F(Stage1Test, TablesOutsideRamLeadNowhere) {
  for (const uint64_t table :
       {uint64_t{0x1000}, uint64_t{0xfffffffff000}, kRam + kSize - 0x1000}) {
    const Stage1 stage1 = {.sctlr = 1, .tcr = 16, .ttbr0 = table};
    EXPECT_EQ(Walk(stage1, 0x7fff'ffff'f000), std::nullopt);
  }
}

TEST_F(Stage1Test, EveryTcrHasAnAnswer) {
  for (uint64_t unused = 0; unused < 64; ++unused) {
    for (uint64_t granule = 0; granule < 4; ++granule) {
      const Stage1 stage1 = {
          .sctlr = 1,
          .tcr = unused | unused << 16 | granule << 14 | granule << 30,
          .ttbr0 = kRam,
          .ttbr1 = kRam};
      Walk(stage1, 0);
      Walk(stage1, ~uint64_t{0});
    }
  }
}

// A table of one page at kRam whose first entry is a page or a block at 0, as
// large as the walk that begins there makes it.
TEST_F(Stage1Test, WalksTheSmallestAndTheLargestHalf) {
  const auto walk = [&](uint64_t unused, uint64_t granule, uint64_t address) {
    return Walk(
        {.sctlr = 1, .tcr = unused | granule << 14, .ttbr0 = kRam + 0x10000},
        address);
  };
  Put64(kRam + 0x10000, 0x50000000 | 3);
  Put64(kRam + 0x10000 + 8 * 15, 0x60000000 | 3);
  EXPECT_EQ(walk(48, 0, 0x24), 0x50000024u);  // 16 bits: 16 pages.
  EXPECT_EQ(walk(48, 0, 0xf024), 0x60000024u);
  EXPECT_EQ(walk(48, 0, 0x10024), std::nullopt);
  EXPECT_EQ(walk(49, 0, 0x24), std::nullopt);
  Put64(kRam + 0x10000, (kRam + 0x20000) | 3);  // 52 bits: levels 1 to 3.
  Put64(kRam + 0x20000, (kRam + 0x30000) | 3);
  Put64(kRam + 0x30000, 0x70000000 | 3);
  EXPECT_EQ(walk(12, 1, 0x24), 0x70000024u);
  EXPECT_EQ(walk(11, 1, 0x24), std::nullopt);
}

// The upper half has another code for each page size than the lower one.
TEST_F(Stage1Test, WalksPagesOf16And64KiBInTheUpperHalf) {
  const Stage1 sixteen = {
      .sctlr = 1, .tcr = 39ull << 16 | 1ull << 30, .ttbr1 = kRam + 0x8000};
  Put64(kRam + 0x8000 + 8 * 5, 0x5678c000 | 3);  // 25 bits: level 3.
  EXPECT_EQ(Walk(sixteen, 0xfffffffffe000000 + 5 * 0x4000 + 0x24), 0x5678c024u);
  const Stage1 sixty_four = {
      .sctlr = 1, .tcr = 35ull << 16 | 3ull << 30, .ttbr1 = kRam + 0x10000};
  Put64(kRam + 0x10000 + 8 * 3, 0x56780000 | 3);  // 29 bits: level 3.
  EXPECT_EQ(Walk(sixty_four, 0xffffffffe0000000 + 3 * 0x10000 + 0x10),
            0x56780010u);
}

TEST_F(Stage1Test, AHalfThatIsTurnedOffIsNotWalked) {
  Put64(kRam + 8, 1ull << 30 | 0x701);
  const uint64_t both = 25 | 25ull << 16 | 2ull << 30;
  const uint64_t lower = 0x40000010, upper = 0xffffff8040000010;
  const auto walk = [&](uint64_t tcr, uint64_t address) {
    return Walk({.sctlr = 1, .tcr = tcr, .ttbr0 = kRam, .ttbr1 = kRam},
                address);
  };
  EXPECT_EQ(walk(both, lower), 0x40000010u);
  EXPECT_EQ(walk(both, upper), 0x40000010u);
  EXPECT_EQ(walk(both | 1ull << 7, lower), std::nullopt);  // EPD0
  EXPECT_EQ(walk(both | 1ull << 7, upper), 0x40000010u);
  EXPECT_EQ(walk(both | 1ull << 23, lower), 0x40000010u);  // EPD1
  EXPECT_EQ(walk(both | 1ull << 23, upper), std::nullopt);
}

// With TCR_EL1.DS, bits of an address lie elsewhere in a descriptor.
TEST_F(Stage1Test, DescriptorsOf52BitsAreNotWalked) {
  Put64(kRam + 8, 1ull << 30 | 0x701);
  Stage1 stage1 = {.sctlr = 1, .tcr = 25, .ttbr0 = kRam};
  EXPECT_EQ(Walk(stage1, 0x40000010), 0x40000010u);
  stage1.tcr |= 1ull << 59;
  EXPECT_EQ(Walk(stage1, 0x40000010), std::nullopt);
}

TEST_F(Stage1Test, AnAddressOutsideBothHalvesIsNotWalked) {
  Put64(kRam + 8, 1ull << 30 | 0x701);
  const Stage1 stage1 = {.sctlr = 1,
                         .tcr = 25 | 25ull << 16 | 2ull << 30,
                         .ttbr0 = kRam,
                         .ttbr1 = kRam};
  EXPECT_EQ(Walk(stage1, 0x40000010), 0x40000010u);
  EXPECT_EQ(Walk(stage1, 0x40000010 | 1ull << 39), std::nullopt);
  EXPECT_EQ(Walk(stage1, 0x40000010 | 1ull << 54), std::nullopt);
  EXPECT_EQ(Walk(stage1, 0xffffff8040000010 & ~(1ull << 39)), std::nullopt);
}

// An entry that is not valid, wherever the rest of it leads.
TEST_F(Stage1Test, AnInvalidEntryEndsTheWalk) {
  const Stage1 stage1 = {.sctlr = 1, .tcr = 34, .ttbr0 = kRam};  // Levels 2, 3.
  Put64(kRam, (kRam + 0x1000) | 3);
  Put64(kRam + 0x1000, 0x50000000 | 3);
  EXPECT_EQ(Walk(stage1, 0x24), 0x50000024u);
  Put64(kRam + 0x1000, 0x50000000 | 2);
  EXPECT_EQ(Walk(stage1, 0x24), std::nullopt);
  Put64(kRam + 0x1000, 0x50000000 | 3);
  Put64(kRam, (kRam + 0x1000) | 2);
  EXPECT_EQ(Walk(stage1, 0x24), std::nullopt);
}

// What Linux sets in TCR_EL1 besides: cacheability and shareability of both
// halves' tables, and whose ASID counts. And a bit that is reserved.
TEST_F(Stage1Test, BitsOfTcrThatDoNotConcernAWalkAreIgnored) {
  Put64(kRam + 8, 1ull << 30 | 0x701);
  const uint64_t both = 25 | 25ull << 16 | 2ull << 30;
  for (const unsigned bit : {6u, 8u, 9u, 10u, 11u, 12u, 13u, 22u, 24u, 25u, 26u,
                             27u, 28u, 29u, 32u, 36u, 37u}) {
    const Stage1 stage1 = {
        .sctlr = 1, .tcr = both | 1ull << bit, .ttbr0 = kRam, .ttbr1 = kRam};
    EXPECT_EQ(Walk(stage1, 0x40000010), 0x40000010u) << bit;
    EXPECT_EQ(Walk(stage1, 0xffffff8040000010), 0x40000010u) << bit;
  }
}

// Bit 55 alone tells the halves apart: the byte above it may be a tag.
TEST_F(Stage1Test, ATagIsNoPartOfAnAddress) {
  Put64(kRam + 8, 1ull << 30 | 0x701);
  const Stage1 stage1 = {.sctlr = 1, .tcr = 25, .ttbr0 = kRam};
  for (const uint64_t tag : {0x01ull, 0x80ull, 0xffull}) {
    EXPECT_EQ(Walk(stage1, tag << 56 | 0x40000010), 0x40000010u) << tag;
  }
}

// The first table has fewer entries than the page: 36 bits are 64 of 512.
TEST_F(Stage1Test, TheFirstTableOfTheUpperHalfMayBeSmall) {
  const Stage1 stage1 = {
      .sctlr = 1, .tcr = 28ull << 16 | 2ull << 30, .ttbr1 = kRam + 0x4000};
  Put64(kRam + 0x4000 + 8 * 1, 1ull << 30 | 0x701);
  Put64(kRam + 0x4000 + 8 * 63, 3ull << 30 | 0x701);
  EXPECT_EQ(Walk(stage1, 0xfffffff040000010), 0x40000010u);
  EXPECT_EQ(Walk(stage1, 0xffffffffc0000010), 0xc0000010u);
}

}  // namespace
}  // namespace vmm
