// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/park_slots.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace psci {
namespace {

constexpr VcpuId kBoot{0};
constexpr VcpuId kOther{1};
constexpr uint64_t kOthersSlot = PARK_DEVICE_STRIDE;
constexpr uint64_t kEntry = 0x40080000;
constexpr uint64_t kBadEntry = 0x1000;

class ParkSlotsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const VcpuId cpu : {kBoot, kOther}) {
      ASSERT_TRUE(power_.PowerOn(cpu, {}));
      ASSERT_TRUE(power_.AwaitBoot(cpu).has_value());
    }
  }
  uint64_t Read(uint64_t reg) const {
    return slots_.Read(kOthersSlot + reg, 8);
  }
  SlotOutcome Write(VcpuId self, uint64_t reg, uint64_t value) {
    return slots_.Write(self, kOthersSlot + reg, 8, value);
  }
  void Park() {
    ASSERT_EQ(Write(kOther, PARK_REG_MAGIC, PARK_MAGIC),
              SlotOutcome(ParkSelf{}));
    ASSERT_FALSE(power_.PowerOff(kOther, Door::kDevice));
  }

  PowerTable power_{{Mpidr{0}, Mpidr{0x100}}};
  ParkSlots slots_{power_, [](uint64_t entry) -> std::optional<ParkFault> {
                     if (entry == kBadEntry) return ParkFault::kExitInMmio;
                     return std::nullopt;
                   }};
};

TEST_F(ParkSlotsTest, SaysWhoseSlotItIs) {
  EXPECT_EQ(Read(PARK_REG_VERSION), PARK_DEVICE_VERSION);
  EXPECT_EQ(Read(PARK_REG_MPIDR), 0x100u);
  EXPECT_EQ(Read(PARK_REG_STATE), PARK_STATE_RUNNING);
  EXPECT_EQ(Read(PARK_REG_MAGIC), 0u);
}

// The highest affinity field lies above the lower 32 bits.
TEST(ParkSlotsMpidrTest, AllOfAnMpidrIsTold) {
  constexpr uint64_t kMpidr = 0x2500030201;
  PowerTable power({Mpidr{0}, Mpidr{kMpidr}});
  ParkSlots slots(power, [](uint64_t) { return std::nullopt; });
  EXPECT_EQ(slots.Read(kOthersSlot + PARK_REG_MPIDR, 8), kMpidr);
  for (const VcpuId cpu : {kBoot, kOther}) {
    ASSERT_TRUE(power.PowerOn(cpu, {}));
    ASSERT_TRUE(power.AwaitBoot(cpu).has_value());
  }
  ASSERT_EQ(slots.Write(kOther, kOthersSlot + PARK_REG_MAGIC, 8, PARK_MAGIC),
            SlotOutcome(ParkSelf{}));
  ASSERT_FALSE(power.PowerOff(kOther, Door::kDevice));
  EXPECT_EQ(slots.Write(kBoot, kOthersSlot + PARK_REG_EXIT, 8, kEntry),
            SlotOutcome(Released{kMpidr, kEntry}));
}

TEST_F(ParkSlotsTest, AParkedCpuIsReleasedOnceWithItsContext) {
  Park();
  EXPECT_EQ(Read(PARK_REG_STATE), PARK_STATE_PARKED);
  EXPECT_EQ(Read(PARK_REG_MAGIC), PARK_MAGIC);
  EXPECT_EQ(Read(PARK_REG_GENERATION), 1u);
  EXPECT_EQ(Read(PARK_REG_ACK), 0u);
  Write(kBoot, PARK_REG_CONTEXT, 7);
  EXPECT_EQ(Write(kBoot, PARK_REG_EXIT, kEntry),
            SlotOutcome(Released{0x100, kEntry}));
  EXPECT_EQ(Read(PARK_REG_STATE), PARK_STATE_STARTING);
  EXPECT_EQ(Write(kBoot, PARK_REG_EXIT, kEntry),
            SlotOutcome(Refused{ParkFault::kReleaseOfNotParked}));
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_NOT_PARKED);
  EXPECT_EQ(power_.AwaitBoot(kOther), (BootContext{kEntry, 7}));
  slots_.Entered(kOther);
  EXPECT_EQ(Read(PARK_REG_ACK), 1u);
  EXPECT_EQ(Read(PARK_REG_STATE), PARK_STATE_RUNNING);
}

TEST_F(ParkSlotsTest, ABadEntryLeavesItParked) {
  Park();
  EXPECT_EQ(Write(kBoot, PARK_REG_EXIT, kBadEntry),
            SlotOutcome(Refused{ParkFault::kExitInMmio}));
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_BAD_ENTRY);
  EXPECT_EQ(Read(PARK_REG_STATE), PARK_STATE_PARKED);
  EXPECT_EQ(Write(kBoot, PARK_REG_EXIT, kEntry),
            SlotOutcome(Released{0x100, kEntry}));
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_OK);
}

TEST_F(ParkSlotsTest, NobodyParksForAnother) {
  EXPECT_EQ(Write(kBoot, PARK_REG_MAGIC, PARK_MAGIC),
            SlotOutcome(Refused{ParkFault::kForeignSlot}));
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_FOREIGN_SLOT);
  EXPECT_EQ(Read(PARK_REG_GENERATION), 0u);
}

TEST_F(ParkSlotsTest, OnlyTheMagicParks) {
  EXPECT_EQ(Write(kOther, PARK_REG_MAGIC, 1),
            SlotOutcome(Refused{ParkFault::kBadMagic}));
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_BAD_MAGIC);
}

TEST_F(ParkSlotsTest, StatusIsOfTheLastStore) {
  Write(kOther, PARK_REG_MAGIC, 1);
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_BAD_MAGIC);
  Park();
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_OK);
  Write(kBoot, PARK_REG_EXIT, kBadEntry);
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_BAD_ENTRY);
  Write(kBoot, PARK_REG_EXIT, kEntry);
  EXPECT_EQ(Read(PARK_REG_STATUS), PARK_STATUS_OK);
}

TEST_F(ParkSlotsTest, WhoIsOffByCpuOffIsNotReleased) {
  ASSERT_FALSE(power_.PowerOff(kOther));
  EXPECT_EQ(Read(PARK_REG_STATE), PARK_STATE_OFF);
  EXPECT_EQ(Write(kBoot, PARK_REG_EXIT, kEntry),
            SlotOutcome(Refused{ParkFault::kReleaseOfNotParked}));
}

TEST_F(ParkSlotsTest, CpuOnEndsAParkingToo) {
  Park();
  ASSERT_TRUE(power_.PowerOn(kOther, {kEntry, 9}));
  EXPECT_EQ(power_.AwaitBoot(kOther), (BootContext{kEntry, 9}));
  slots_.Entered(kOther);
  EXPECT_EQ(Read(PARK_REG_ACK), 1u);
  EXPECT_EQ(Read(PARK_REG_MAGIC), 0u);
}

TEST_F(ParkSlotsTest, ContextIsForgottenAtEachPark) {
  Write(kBoot, PARK_REG_CONTEXT, 5);
  Park();
  EXPECT_EQ(Read(PARK_REG_CONTEXT), 0u);
}

TEST_F(ParkSlotsTest, WhatIsNoRegisterIsNothing) {
  for (const unsigned size : {1u, 2u, 4u}) {
    EXPECT_EQ(slots_.Read(PARK_REG_VERSION, size), 0u);
    EXPECT_EQ(
        slots_.Write(kOther, kOthersSlot + PARK_REG_MAGIC, size, PARK_MAGIC),
        SlotOutcome(Stored{}));
  }
  for (const uint64_t offset :
       {uint64_t{0x48}, uint64_t{0xff8}, uint64_t{0x1c},
        uint64_t{2 * PARK_DEVICE_STRIDE}, ~uint64_t{7}}) {
    EXPECT_EQ(slots_.Read(offset, 8), 0u);
    EXPECT_EQ(slots_.Write(kOther, offset, 8, PARK_MAGIC),
              SlotOutcome(Stored{}));
  }
}

TEST(ParkFaultTest, EachHasANameOfItsOwnAndASentence) {
  std::set<std::string> ids;
  for (size_t i = 0; i < kParkFaults; ++i) {
    const auto fault = static_cast<ParkFault>(i);
    EXPECT_TRUE(ids.insert(std::string(IdOf(fault))).second) << IdOf(fault);
    EXPECT_GT(SentenceOf(fault).size(), 20u);
  }
}

}  // namespace
}  // namespace psci
