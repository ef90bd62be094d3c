// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTwoMiB = 2 * kMiB;
constexpr uint64_t kBase = kRamWindow.base().value();

GuestRange Ram(uint64_t size) {
  return GuestRange::Make(kRamWindow.base(), size).value();
}

KernelImage Kernel(uint64_t text_offset, uint64_t image_size,
                   size_t file_size = 4096) {
  KernelImage kernel;
  kernel.content = Content(std::vector<uint8_t>(file_size));
  kernel.text_offset = text_offset;
  kernel.image_size = image_size;
  return kernel;
}

KernelImage Raw(size_t file_size) { return Kernel(0x80000, 0, file_size); }

Placement Placed(uint64_t ram_size, const KernelImage& kernel,
                 uint64_t initrd_size) {
  const auto placement = PlaceBoot(Ram(ram_size), kernel, initrd_size);
  EXPECT_TRUE(placement.ok()) << placement.status();
  return placement.value();
}

TEST(PlacementTest, DevicetreeFollowsTheKernelAndInitrdFollowsIt) {
  const Placement placement =
      Placed(512 * kMiB, Kernel(0, 35 * kMiB + 1), 12345);
  EXPECT_EQ(placement.kernel, GuestAddress(kBase));
  EXPECT_EQ(placement.dtb.base(), GuestAddress(kBase + 36 * kMiB));
  EXPECT_EQ(placement.initrd,
            GuestRange::Make(GuestAddress(kBase + 38 * kMiB), 12345));
}

TEST(PlacementTest, TextOffsetCountsFromTheTwoMiBBoundary) {
  const Placement placement = Placed(64 * kMiB, Kernel(0x80000, kTwoMiB), 0);
  EXPECT_EQ(placement.kernel, GuestAddress(kBase + 0x80000));
  EXPECT_EQ(placement.dtb.base(), GuestAddress(kBase + 2 * kTwoMiB));
}

TEST(PlacementTest, NoInitrdHasNoPlace) {
  EXPECT_EQ(Placed(64 * kMiB, Kernel(0, kMiB), 0).initrd, std::nullopt);
}

TEST(PlacementTest, AFlatBinaryHasRoomForItsBssAndStack) {
  struct Case {
    uint64_t ram_mib;
    uint64_t initrd_mib;
  };
  for (const Case& c : {Case{16, 8}, Case{18, 8}, Case{64, 32}, Case{256, 128},
                        Case{4096, 128}}) {
    const Placement placement = Placed(c.ram_mib * kMiB, Raw(4096), 4096);
    EXPECT_EQ(placement.kernel, GuestAddress(kBase + 0x80000));
    EXPECT_EQ(placement.initrd->base(),
              GuestAddress(kBase + c.initrd_mib * kMiB))
        << c.ram_mib << " MiB";
  }
}

TEST(PlacementTest, ALargeFlatBinaryPushesTheInitrdUp) {
  const Placement placement = Placed(64 * kMiB, Raw(40 * kMiB), 1);
  EXPECT_EQ(placement.initrd->base(), GuestAddress(kBase + 42 * kMiB));
}

// faults.md A16: firmware for QEMU's board looks for it there.
TEST(PlacementTest, AFlatBinaryHasTheDevicetreeAtRamsBase) {
  EXPECT_EQ(Placed(64 * kMiB, Raw(4096), 0).dtb,
            GuestRange::Make(GuestAddress(kBase), 0x80000));
  // Unless there is no room before it.
  EXPECT_EQ(Placed(64 * kMiB, Kernel(0, 0, 4096), 0).dtb.base(),
            GuestAddress(kBase + 32 * kMiB));
}

TEST(PlacementTest, KeepsTheRulesOfTheBootProtocol) {
  for (const uint64_t text_offset : {0x0u, 0x80000u, 0x1ff000u}) {
    for (const uint64_t image_size : {uint64_t{0}, kMiB, 35 * kMiB + 4097}) {
      for (const uint64_t initrd_size : {uint64_t{1}, 5 * kMiB + 1}) {
        const Placement placement =
            Placed(128 * kMiB, Kernel(text_offset, image_size), initrd_size);
        const uint64_t kernel = placement.kernel.value();
        const uint64_t dtb = placement.dtb.base().value();
        EXPECT_EQ(kernel % kTwoMiB, text_offset);
        EXPECT_EQ(dtb % kTwoMiB, 0u);
        const uint64_t dtb_end = dtb + placement.dtb.size();
        EXPECT_TRUE(dtb >= kernel + image_size || dtb_end <= kernel);
        ASSERT_TRUE(placement.initrd.has_value());
        EXPECT_EQ(placement.initrd->base().value() % kPageSize, 0u);
        EXPECT_GE(placement.initrd->base().value(), dtb_end);
        EXPECT_GE(placement.initrd->base().value(), kernel + image_size);
        EXPECT_TRUE(Ram(128 * kMiB).Contains(*placement.initrd));
      }
    }
  }
}

TEST(PlacementTest, SaysHowMuchMemoryItTakes) {
  const auto placement =
      PlaceBoot(Ram(32 * kMiB), Kernel(0, 35 * kMiB), 10 * kMiB + 1);
  EXPECT_EQ(placement.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(placement.status().message(),
            "kernel, devicetree and initrd do not fit in 32 MiB of guest RAM; "
            "give it at least 49 MiB with --memory");
}

TEST(PlacementTest, TheMemoryItAsksForIsEnoughAndNotTooMuch) {
  for (const auto& kernel : {Kernel(0, 7 * kMiB), Raw(4096), Raw(9 * kMiB)}) {
    for (const uint64_t initrd_mib : {0u, 1u, 20u, 300u}) {
      const uint64_t initrd = initrd_mib * kMiB;
      uint64_t fits = 1;
      while (!PlaceBoot(Ram(fits * kMiB), kernel, initrd).ok()) ++fits;
      const absl::Status status = PlaceBoot(Ram(kMiB), kernel, initrd).status();
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr("at least " + std::to_string(fits) + " MiB"));
    }
  }
}

TEST(PlacementTest, RefusesAnInitrdBeyondTheKernelsReach) {
  const GuestRange ram = Ram(100 * kGiB);
  const KernelImage kernel = Kernel(0, 2 * kMiB);
  EXPECT_TRUE(PlaceBoot(ram, kernel, 32 * kGiB - 4 * kMiB).ok());
  for (const uint64_t size : {32 * kGiB - 4 * kMiB + 1, UINT64_MAX}) {
    const absl::Status status = PlaceBoot(ram, kernel, size).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("reach 32 GiB"));
  }
}

}  // namespace
}  // namespace vmm
