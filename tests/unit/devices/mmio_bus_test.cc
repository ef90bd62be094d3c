// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/mmio_bus.h"

#include <gtest/gtest.h>

namespace vmm {
namespace {

// Remembers the last write, answers reads with the offset.
class RecordingDevice : public MmioDevice {
 public:
  absl::string_view Name() const override { return "recorder"; }
  uint64_t Read(const MmioAccess& access) override { return access.offset; }
  AfterWrite Write(const MmioAccess& access, uint64_t value) override {
    last = access;
    last_value = value;
    ++writes;
    return next;
  }
  void Describe(fdt::TreeWriter&, const fdt::DevicePlace&) const override {}
  MmioAccess last = {};
  uint64_t last_value = 0;
  int writes = 0;
  AfterWrite next = AfterWrite::kDone;
};

class MmioBusTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(bus_.Attach(GuestRange::Fixed(0x1000, 0x100), first_).ok());
    ASSERT_TRUE(bus_.Attach(GuestRange::Fixed(0x1100, 0x100), second_).ok());
  }
  MmioBus bus_;
  RecordingDevice first_;
  RecordingDevice second_;
};

TEST_F(MmioBusTest, RoutesWithOffsetSizeAndVcpu) {
  EXPECT_EQ(bus_.Write(3, GuestAddress(0x1104), 4, 0xabcd), AfterWrite::kDone);
  EXPECT_EQ(first_.writes, 0);
  EXPECT_EQ(second_.last.vcpu, 3u);
  EXPECT_EQ(second_.last.offset, 4u);
  EXPECT_EQ(second_.last.size, 4u);
  EXPECT_EQ(second_.last_value, 0xabcdu);
}

TEST_F(MmioBusTest, ReturnsWhatTheDeviceSaysTheVcpuDoesNext) {
  EXPECT_EQ(bus_.Write(0, GuestAddress(0x1000), 4, 0), AfterWrite::kDone);
  first_.next = AfterWrite::kPark;
  EXPECT_EQ(bus_.Write(0, GuestAddress(0x1000), 4, 0), AfterWrite::kPark);
}

TEST_F(MmioBusTest, FirstAndLastByteBelongToTheDevice) {
  EXPECT_EQ(bus_.Read(0, GuestAddress(0x1000), 1), 0u);
  EXPECT_EQ(bus_.Read(0, GuestAddress(0x10ff), 1), 0xffu);
}

TEST_F(MmioBusTest, AnAccessThatStraddlesTwoDevicesIsNobodys) {
  EXPECT_EQ(bus_.Read(0, GuestAddress(0x10fc), 8), std::nullopt);
  EXPECT_EQ(bus_.Write(0, GuestAddress(0x10fe), 4, 0), std::nullopt);
}

TEST_F(MmioBusTest, OutsideOfEverythingIsNobodys) {
  EXPECT_EQ(bus_.Read(0, GuestAddress(0xfff), 1), std::nullopt);
  EXPECT_EQ(bus_.Read(0, GuestAddress(0x1200), 1), std::nullopt);
  EXPECT_EQ(bus_.Read(0, GuestAddress(UINT64_MAX), 8), std::nullopt);
}

TEST_F(MmioBusTest, OverlapIsRefusedByName) {
  RecordingDevice third;
  const absl::Status status =
      bus_.Attach(GuestRange::Fixed(0x11ff, 0x10), third);
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(status.message(), "recorder overlaps recorder");
}

}  // namespace
}  // namespace vmm
