// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/park_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kBase = kRamWindow.base().value();

GuestRange Ram(uint64_t mib) {
  return *GuestRange::Make(kRamWindow.base(), mib * kMiB);
}

TEST(ParkPlacementTest, LiesAtTheEndOfRamBetweenGuards) {
  const auto park = PlacePark(Ram(1024), {.vcpus = 4, .guest_page = 4096});
  ASSERT_TRUE(park.ok()) << park.status();
  EXPECT_EQ(park->window.last(), Ram(1024).last());
  EXPECT_EQ(park->pages.size(), 2 * kMiB);  // For NR_CPUS=512.
  EXPECT_EQ(park->pages.base().value(),
            park->window.base().value() + kParkGuard);
  EXPECT_EQ(park->window.size(), park->pages.size() + 2 * kParkGuard);
}

TEST(ParkPlacementTest, SmallRamHasPagesForTheCpusThereAre) {
  const auto park = PlacePark(Ram(64), {.vcpus = 4, .guest_page = 65536});
  ASSERT_TRUE(park.ok()) << park.status();
  EXPECT_EQ(park->pages.size(), 4 * 65536u);
}

TEST(ParkPlacementTest, EveryMemorySizeAndPageSizeIsAligned) {
  for (const uint64_t mib : {16u, 18u, 64u, 1000u, 4096u}) {
    for (const uint32_t page : {0u, 4096u, 16384u, 65536u}) {
      const auto park = PlacePark(Ram(mib), {.vcpus = 16, .guest_page = page});
      ASSERT_TRUE(park.ok()) << park.status();
      EXPECT_EQ(park->pages.base().value() % kParkGuard, 0u);
      EXPECT_EQ(park->pages.size() % kParkGuard, 0u);
      EXPECT_EQ(park->stride, std::max(page, 4096u));
      EXPECT_GE(park->pages.size(), 16 * park->stride);
      EXPECT_TRUE(Ram(mib).Contains(park->window));
    }
  }
}

TEST(ParkPlacementTest, RefusesWhatDoesNotFit) {
  const auto wish = [](uint64_t base) {
    return ParkWish{
        .vcpus = 32, .guest_page = 65536, .base = GuestAddress(base)};
  };
  const auto message = [&](uint64_t base) {
    const auto park = PlacePark(Ram(64), wish(base));
    EXPECT_EQ(park.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(park.status().message());
  };
  EXPECT_THAT(message(kBase + 0x201000), HasSubstr("page size, 64 KiB"));
  EXPECT_THAT(message(0x10000000), HasSubstr("not in RAM"));
  EXPECT_THAT(message(kBase), HasSubstr("not in RAM"));
  EXPECT_THAT(message(kBase + 63 * kMiB), HasSubstr("too little"));
  EXPECT_TRUE(PlacePark(Ram(64), wish(kBase + 32 * kMiB)).ok());
  EXPECT_EQ(
      PlacePark(Ram(16), {.vcpus = 128, .guest_page = 65536}).status().code(),
      absl::StatusCode::kResourceExhausted);
}

TEST(ParkPlacementTest, SaysWhatItOverlaps) {
  const Placement boot = {
      GuestAddress(kBase + 0x80000),
      GuestRange::Fixed(kBase + 16 * kMiB, 2 * kMiB),
      GuestRange::Make(GuestAddress(kBase + 18 * kMiB), kMiB)};
  const auto check = [&](uint64_t base) {
    const auto park =
        PlacePark(Ram(64), {.vcpus = 4, .base = GuestAddress(base)});
    EXPECT_TRUE(park.ok());
    return std::string(CheckApart(*park, boot, 8 * kMiB).message());
  };
  EXPECT_THAT(check(kBase + 4 * kMiB), HasSubstr("overlap the kernel"));
  EXPECT_THAT(check(kBase + 17 * kMiB), HasSubstr("overlap the devicetree"));
  EXPECT_THAT(check(kBase + 18 * kMiB + kParkGuard),
              HasSubstr("overlap the initrd"));
  EXPECT_EQ(check(kBase + 32 * kMiB), "");
}

TEST(ParkPlacementTest, SaysWhereBothAre) {
  const Placement boot = {GuestAddress(kBase + 0x80000),
                          GuestRange::Fixed(kBase + 16 * kMiB, 2 * kMiB),
                          std::nullopt};
  const auto park =
      PlacePark(Ram(64), {.vcpus = 4, .base = GuestAddress(kBase + 4 * kMiB)});
  ASSERT_TRUE(park.ok());
  EXPECT_EQ(CheckApart(*park, boot, 8 * kMiB).message(),
            "the park pages at 0x40400000 and their guards, 0x403f0000 to "
            "0x40610000, overlap the kernel, 0x40080000 to 0x40880000; choose "
            "another --park-base");
}

// The guards count: 62 pages of 64 KiB and two guards are a quarter of 16 MiB.
TEST(ParkPlacementTest, PagesAndGuardsAreAQuarterOfRamAtMost) {
  const auto park = [](uint32_t vcpus) {
    return PlacePark(Ram(16), {.vcpus = vcpus, .guest_page = 65536}).status();
  };
  EXPECT_TRUE(park(62).ok());
  EXPECT_EQ(park(63).code(), absl::StatusCode::kResourceExhausted);
}

TEST(ParkPlacementTest, ABaseNearTheEndLeavesPagesForTheCpusThereAre) {
  const auto park =
      PlacePark(Ram(64), {.vcpus = 4,
                          .guest_page = 4096,
                          .base = GuestAddress(kBase + 63 * kMiB)});
  ASSERT_TRUE(park.ok()) << park.status();
  EXPECT_EQ(park->pages.base(), GuestAddress(kBase + 63 * kMiB));
  EXPECT_EQ(park->pages.size(), kParkGuard);
  EXPECT_EQ(park->stride, 4096u);
}

}  // namespace
}  // namespace vmm
