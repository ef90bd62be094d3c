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

}  // namespace
}  // namespace vmm
