// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/slot_allocator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSpare = kSpareSlots.base().value();

class SlotAllocatorTest : public testing::Test {
 protected:
  uint64_t Slot(uint64_t bytes) {
    const auto slot = allocator_.TakeSlot(bytes, std::nullopt);
    EXPECT_TRUE(slot.ok()) << slot.status();
    return slot->base().value();
  }
  absl::StatusCode SlotAt(uint64_t base, uint64_t bytes) {
    return allocator_.TakeSlot(bytes, GuestAddress(base)).status().code();
  }

  SlotAllocator allocator_;
};

TEST_F(SlotAllocatorTest, SlotsFollowEachOtherByPage) {
  EXPECT_EQ(Slot(0x1000), kSpare);
  EXPECT_EQ(Slot(8), kSpare + 0x1000);
  EXPECT_EQ(Slot(0x1000), kSpare + 0x2000);
}

TEST_F(SlotAllocatorTest, ALargeSlotBeginsAtAMultipleOfItsSize) {
  EXPECT_EQ(Slot(0x1000), kSpare);
  EXPECT_EQ(Slot(0x3000) % 0x4000, 0u);
  EXPECT_EQ(Slot(0x1000), kSpare + 0x1000);  // The gap is used.
}

TEST_F(SlotAllocatorTest, AFixedSlotIsWhereItWasAskedFor) {
  const auto slot = allocator_.TakeSlot(0x1000, kPl011.base());
  ASSERT_TRUE(slot.ok()) << slot.status();
  EXPECT_EQ(*slot, kPl011);
}

TEST_F(SlotAllocatorTest, NoSlotIsGivenTwice) {
  EXPECT_EQ(SlotAt(kSpare, 0x1000), absl::StatusCode::kOk);
  EXPECT_EQ(SlotAt(kSpare + 0xfff, 1), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Slot(0x1000), kSpare + 0x1000);
}

TEST_F(SlotAllocatorTest, TheInterruptControllerAndRamAreNoPlaceForADevice) {
  for (const GuestRange& gic :
       {kGicDistributor, kGicV2CpuInterface, kGicV3Redistributors}) {
    EXPECT_EQ(SlotAt(gic.last().value(), 1), absl::StatusCode::kAlreadyExists);
  }
  const uint64_t ram = kRamWindow.base().value();
  EXPECT_EQ(SlotAt(ram - 1, 1), absl::StatusCode::kOk);
  EXPECT_EQ(SlotAt(ram - 2, 3), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(SlotAt(UINT64_MAX, 2), absl::StatusCode::kInvalidArgument);
}

TEST_F(SlotAllocatorTest, ASlotOfNothingIsRefused) {
  EXPECT_EQ(allocator_.TakeSlot(0, std::nullopt).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SlotAllocatorTest, TheLastSlotEndsWithTheSpareRange) {
  constexpr uint64_t kMiB = 1 << 20;
  for (uint64_t i = 0; i < kSpareSlots.size() / kMiB; ++i) Slot(kMiB);
  const absl::Status full = allocator_.TakeSlot(1, std::nullopt).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("no room"));
  EXPECT_EQ(allocator_.TakeSlot(UINT64_MAX, std::nullopt).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(SlotAllocatorTest, SpisAreGivenOnceFromTheFirstSpareOne) {
  EXPECT_EQ(*allocator_.TakeSpi(std::nullopt), kFirstSpareSpi);
  EXPECT_EQ(*allocator_.TakeSpi(kPl011Spi), kPl011Spi);
  EXPECT_EQ(allocator_.TakeSpi(kPl011Spi).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*allocator_.TakeSpi(kFirstSpareSpi + 1), kFirstSpareSpi + 1);
  EXPECT_EQ(*allocator_.TakeSpi(std::nullopt), kFirstSpareSpi + 2);
}

TEST_F(SlotAllocatorTest, SpisEndWithThoseOfTheGic) {
  EXPECT_EQ(allocator_.TakeSpi(kSpis).status().code(),
            absl::StatusCode::kInvalidArgument);
  for (uint32_t spi = kFirstSpareSpi; spi < kSpis; ++spi) {
    EXPECT_EQ(*allocator_.TakeSpi(std::nullopt), spi);
  }
  EXPECT_EQ(allocator_.TakeSpi(std::nullopt).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(SlotAllocatorTest, ARefusalNamesTheSpiAndHowManyThereAre) {
  EXPECT_EQ(allocator_.TakeSpi(kSpis + 4).status().message(),
            "SPI 100 does not exist: the GIC has 96");
  EXPECT_EQ(allocator_.TakeSpi(kSpis).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vmm
