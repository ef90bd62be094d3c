// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/device_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <optional>
#include <vector>

#include "psci-emul/park_abi.h"
#include "psci-emul/power_table.h"
#include "tests/support/toy_device.h"
#include "vmm/boot/memory_map.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/devices/stream_abi.h"

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

// The park device of a machine with two CPUs, CPU 0 of which stores.
class ParkDeviceTest : public testing::Test {
 protected:
  ParkDeviceTest() {
    const auto placed =
        Placed(DevicesOf({.vcpus = 2, .park = ParkMode::kHost}));
    base_ = placed.back().registers.base().value();
    device_ = placed.back().make({.console = console_,
                                  .link = nullptr,
                                  .alarm = alarm_,
                                  .events = events_,
                                  .clock = clock_,
                                  .base = placed.back().registers.base(),
                                  .park_slots = &slots_,
                                  .diagnoses = diagnoses_});
  }
  AfterWrite Store(uint32_t cpu, uint64_t reg, uint64_t value) {
    return device_->Write({0, cpu * PARK_DEVICE_STRIDE + reg, 8}, value);
  }
  uint64_t Load(uint32_t cpu, uint64_t reg) {
    return device_->Read({0, cpu * PARK_DEVICE_STRIDE + reg, 8});
  }
  std::vector<Event> Events() {
    std::vector<Event> events;
    EXPECT_TRUE(events_
                    .Drain(INT64_MAX,
                           [&](const Event& event) { events.push_back(event); })
                    .ok());
    return events;
  }

  uint64_t base_ = 0;
  SerialLine console_;
  AlarmLine alarm_{.alarm = *Alarm::Create()};
  Clock clock_;
  EventLog events_{{0, 1}};
  DiagnosisLog diagnoses_;
  psci::PowerTable power_{{psci::Mpidr{0}, psci::Mpidr{1}}};
  psci::ParkSlots slots_{power_, [](uint64_t) { return std::nullopt; }};
  std::unique_ptr<MmioDevice> device_;
};

TEST_F(ParkDeviceTest, AStoreOfTheMagicToItsOwnSlotParksACpu) {
  EXPECT_EQ(Store(0, PARK_REG_MAGIC, PARK_MAGIC), AfterWrite::kPark);
  const auto events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Event::Kind::kParkStore);
  EXPECT_EQ(events[0].arguments, 1u);
  EXPECT_EQ(events[0].args[0], base_);
}

TEST_F(ParkDeviceTest, AForeignSlotParksNobodyAndIsNoted) {
  EXPECT_EQ(Store(1, PARK_REG_MAGIC, PARK_MAGIC), AfterWrite::kDone);
  ASSERT_EQ(diagnoses_.All().size(), 1u);
  EXPECT_EQ(diagnoses_.All()[0].fault, psci::ParkFault::kForeignSlot);
  EXPECT_EQ(diagnoses_.All()[0].place, base_ + PARK_DEVICE_STRIDE);
  EXPECT_EQ(Load(1, PARK_REG_STATUS), uint64_t{PARK_STATUS_FOREIGN_SLOT});
  EXPECT_TRUE(Events().empty());
}

TEST_F(ParkDeviceTest, WhatIsNotTheMagicIsNotedWithIt) {
  EXPECT_EQ(Store(0, PARK_REG_MAGIC, 0x77), AfterWrite::kDone);
  ASSERT_EQ(diagnoses_.All().size(), 1u);
  EXPECT_EQ(diagnoses_.All()[0].fault, psci::ParkFault::kBadMagic);
  EXPECT_EQ(diagnoses_.All()[0].vcpu, 0u);
  EXPECT_EQ(diagnoses_.All()[0].place, base_);
  EXPECT_EQ(diagnoses_.All()[0].value, 0x77u);
}

TEST_F(ParkDeviceTest, AStoreThatIsJustKeptIsNoEvent) {
  EXPECT_EQ(Store(1, PARK_REG_CONTEXT, 0x77), AfterWrite::kDone);
  EXPECT_EQ(Load(1, PARK_REG_CONTEXT), 0x77u);
  EXPECT_TRUE(Events().empty());
  EXPECT_TRUE(diagnoses_.All().empty());
}

// The event of a release has the moment at which the store arrived.
TEST_F(ParkDeviceTest, AStoreToExitReleasesWhoIsParkedThere) {
  ASSERT_TRUE(power_.PowerOn(psci::VcpuId{1}, {}));
  ASSERT_TRUE(power_.AwaitBoot(psci::VcpuId{1}).has_value());
  ASSERT_EQ(
      device_->Write({1, PARK_DEVICE_STRIDE + PARK_REG_MAGIC, 8}, PARK_MAGIC),
      AfterWrite::kPark);
  ASSERT_TRUE(power_.PowerOff(psci::VcpuId{1}, psci::Door::kDevice));
  const int64_t before = clock_.Now();
  EXPECT_EQ(Store(1, PARK_REG_EXIT, 0x40080000), AfterWrite::kDone);
  EXPECT_EQ(power_.StateOf(psci::VcpuId{1}), psci::PowerState::kOnPending);
  const auto events = Events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].kind, Event::Kind::kReleaseStore);
  EXPECT_EQ(events[1].arguments, 3u);
  EXPECT_EQ(events[1].vcpu, 0u);
  EXPECT_GE(events[1].ns, before);
  EXPECT_THAT(events[1].args,
              testing::ElementsAre(1, 0x40080000, base_ + PARK_DEVICE_STRIDE));
}

// The devices of a machine that has two CPUs and a link.
class BoardDevicesTest : public testing::Test {
 protected:
  BoardDevicesTest() {
    for (const PlacedDevice& placed :
         Placed(DevicesOf({.command_link = true, .vcpus = 2}))) {
      devices_.push_back(placed.make(
          {.console = console_,
           .link = &link_,
           .alarm = alarm_,
           .events = events_,
           .clock = clock_,
           .request_stop =
               [this](const StopReason& reason) {
                 stop_ = reason;
                 before_stop_ = Events();
               },
           .set_interrupt = [this](bool level) { levels_.push_back(level); },
           .base = placed.registers.base(),
           .park_slots = nullptr,
           .diagnoses = diagnoses_}));
    }
  }
  MmioDevice& Console() { return *devices_[0]; }
  MmioDevice& RealTimeClock() { return *devices_[1]; }
  MmioDevice& Mark() { return *devices_[2]; }
  MmioDevice& LinkUart() { return *devices_[3]; }
  MmioDevice& LinkStream() { return *devices_[4]; }
  std::vector<Event> Events() {
    std::vector<Event> events;
    EXPECT_TRUE(events_
                    .Drain(INT64_MAX,
                           [&](const Event& event) { events.push_back(event); })
                    .ok());
    return events;
  }

  static constexpr uint64_t kData = 0x00;        // UARTDR.
  static constexpr uint64_t kFlags = 0x18;       // UARTFR.
  static constexpr uint64_t kFull = 1 << 5;      // Its TXFF.
  static constexpr uint64_t kControl = 0x30;     // UARTCR.
  static constexpr uint64_t kInterrupts = 0x38;  // UARTIMSC.
  static constexpr uint64_t kReceives = 1 << 4;  // Its RXIM.
  SerialLine console_;
  SerialLine link_{ConsoleBuffer::Wake::kByByte};
  AlarmLine alarm_{.alarm = *Alarm::Create()};
  Clock clock_;
  EventLog events_{{0, 1}};
  DiagnosisLog diagnoses_;
  std::optional<StopReason> stop_;
  std::vector<Event> before_stop_;
  std::vector<bool> levels_;
  std::vector<std::unique_ptr<MmioDevice>> devices_;
};

TEST_F(BoardDevicesTest, TheConsoleTransmitsUntilItsBufferIsFull) {
  Console().Write({0, kData, 4}, 'a');
  EXPECT_EQ(Console().Read({0, kFlags, 4}) & kFull, 0u);
  EXPECT_EQ(console_.output.Take(), "a");
  for (size_t i = 0; i < ConsoleBuffer::kCapacity; ++i)
    console_.output.Put('x');
  EXPECT_EQ(Console().Read({0, kFlags, 4}) & kFull, kFull);
}

TEST_F(BoardDevicesTest, TheConsoleReceivesAndInterrupts) {
  Console().Write({0, kControl, 4}, 0x301);  // UARTEN, TXE, RXE.
  Console().Write({0, kInterrupts, 4}, kReceives);
  const uint8_t typed[] = {'h', 'i'};
  EXPECT_EQ(console_.input(typed), 2u);
  EXPECT_THAT(levels_, testing::Contains(true));
  EXPECT_EQ(Console().Read({0, kData, 4}) & 0xff, uint64_t{'h'});
  EXPECT_EQ(Console().Read({0, kData, 4}) & 0xff, uint64_t{'i'});
}

TEST_F(BoardDevicesTest, TheLinkTakesBytesByUartOrEightAtATime) {
  LinkUart().Write({0, kData, 4}, 'a');
  EXPECT_EQ(link_.output.Take(), "a");
  LinkStream().Write({0, STREAM_REG_WORD, 8}, 0x6867666564636261);
  EXPECT_EQ(link_.output.Take(), "abcdefgh");
  EXPECT_EQ(LinkStream().Read({0, STREAM_REG_ROOM, 8}),
            ConsoleBuffer::kCapacity);
  EXPECT_EQ(console_.output.Take(), "");
}

// An alarm years away, told of early: the clock looks at the time and sets it
// again.
TEST_F(BoardDevicesTest, A15TheClocksAlarmIsTheHosts) {
  const auto is_due = [this] {
    pollfd told = {.fd = alarm_.alarm.fd(), .events = POLLIN};
    return poll(&told, 1, 0) == 1;
  };
  constexpr uint64_t kMatch = 0x04;
  constexpr uint64_t kMask = 0x10;
  RealTimeClock().Write({0, kMask, 4}, 1);
  RealTimeClock().Write({0, kMatch, 4},
                        static_cast<uint64_t>(Alarm::NowS()) + 1'000'000'000);
  EXPECT_FALSE(is_due());
  alarm_.alarm.Set(0);
  EXPECT_TRUE(is_due());
  alarm_.ring();
  EXPECT_FALSE(is_due());
  EXPECT_TRUE(levels_.empty());
}

TEST_F(BoardDevicesTest, AMarkIsAnEventOfItsCpu) {
  const int64_t begin = clock_.Now();
  Mark().Write({1, MARK_REG_MARK, 8}, 17 | 0x1234ull << MARK_VALUE_SHIFT);
  const auto events = Events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Event::Kind::kMark);
  EXPECT_EQ(events[0].vcpu, 1u);
  EXPECT_EQ(events[0].arguments, 2);
  EXPECT_THAT(events[0].args, testing::ElementsAre(17, 0x1234, 0));
  EXPECT_GE(events[0].ns, begin);
  EXPECT_FALSE(stop_.has_value());
}

// Whoever is told of the stop finds the event.
TEST_F(BoardDevicesTest, AVerdictIsAnEventThenAStop) {
  Mark().Write({1, MARK_REG_VERDICT, 8}, 3 | 0x77ull << MARK_VALUE_SHIFT);
  ASSERT_TRUE(stop_.has_value());
  EXPECT_EQ(stop_->kind, StopReason::Kind::kVerdict);
  EXPECT_EQ(stop_->vcpu, 1u);
  EXPECT_EQ(stop_->code, 3u);
  EXPECT_EQ(stop_->value, 0x77u);
  ASSERT_EQ(before_stop_.size(), 1u);
  EXPECT_EQ(before_stop_[0].kind, Event::Kind::kVerdict);
  EXPECT_THAT(before_stop_[0].args, testing::ElementsAre(3, 0x77, 0));
}

}  // namespace
}  // namespace vmm
