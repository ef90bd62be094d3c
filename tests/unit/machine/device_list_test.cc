// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/device_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/toy_device.h"
#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

using testing::HasSubstr;

DeviceEntry Toy() {
  return {.needs = ToyDevice::kNeeds, .make = MakeToyDevice};
}

std::vector<PlacedDevice> Placed(const std::vector<DeviceEntry>& devices) {
  auto placed = PlaceDevices(devices);
  EXPECT_TRUE(placed.ok()) << placed.status();
  return *std::move(placed);
}

TEST(DeviceListTest, TheBoardsDevicesAreWhereTheyAlwaysWere) {
  const auto devices = Placed(DevicesOf({.vcpus = 3, .park = ParkMode::kHost}));
  ASSERT_EQ(devices.size(), 4u);
  EXPECT_EQ(devices[0].name, "pl011");
  EXPECT_EQ(devices[0].registers, GuestRange::Fixed(0x09000000, 0x1000));
  EXPECT_EQ(devices[0].spi, 1u);
  EXPECT_TRUE(devices[0].is_console);
  EXPECT_EQ(devices[1].name, "pl031");
  EXPECT_EQ(devices[1].registers, GuestRange::Fixed(0x09010000, 0x1000));
  EXPECT_EQ(devices[1].spi, 2u);
  EXPECT_EQ(devices[2].name, "mark");
  EXPECT_EQ(devices[2].registers, GuestRange::Fixed(0x0c000000, 0x1000));
  EXPECT_EQ(devices[2].spi, std::nullopt);
  EXPECT_EQ(devices[3].name, "park");
  EXPECT_EQ(devices[3].registers, GuestRange::Fixed(0x0c100000, 0x3000));
  EXPECT_EQ(devices[3].spi, std::nullopt);
}

TEST(DeviceListTest, OnlyAMachineThatParksInTheVmmHasAParkDevice) {
  EXPECT_EQ(DevicesOf({.park = ParkMode::kOff}).size(), 3u);
  EXPECT_EQ(DevicesOf({.park = ParkMode::kGuest}).size(), 3u);
}

TEST(DeviceListTest, FixedDevicesAreNotInTheWayOfThoseListedBefore) {
  DeviceEntry fixed = Toy();
  fixed.base = kSpareSlots.base();
  fixed.spi = kFirstSpareSpi;
  const auto devices = Placed({Toy(), fixed, Toy()});
  EXPECT_EQ(devices[0].registers.base().value(), 0x0c301000u);
  EXPECT_EQ(devices[0].spi, 49u);
  EXPECT_EQ(devices[1].registers.base().value(), 0x0c300000u);
  EXPECT_EQ(devices[1].spi, 48u);
  EXPECT_EQ(devices[2].registers.base().value(), 0x0c302000u);
  EXPECT_EQ(devices[2].spi, 50u);
}

TEST(DeviceListTest, ADeviceWithoutAPlaceIsRefusedByName) {
  DeviceEntry fixed = Toy();
  fixed.base = kPl011.base();
  const absl::Status status =
      PlaceDevices(std::vector<DeviceEntry>{fixed, fixed}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("toy: the 512 bytes"));
}

}  // namespace
}  // namespace vmm
