// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/smccc.h"

#include <gtest/gtest.h>

namespace psci {
namespace {

constexpr uint64_t kGarbage = 0xdeadbeef00000000;

TEST(SmcccTest, UpperHalvesAreNotPartOfAn32BitCall) {
  const SmcccCall call = Narrowed(
      {PSCI_CPU_ON_32, {kGarbage | 1, kGarbage | 0x40000000, kGarbage | 7}});
  EXPECT_EQ(call.args[0], 1u);
  EXPECT_EQ(call.args[1], 0x40000000u);
  EXPECT_EQ(call.args[2], 7u);
}

TEST(SmcccTest, A64BitCallKeepsAllOfItsArguments) {
  const SmcccCall call = Narrowed({PSCI_CPU_ON_64, {kGarbage, 1, kGarbage}});
  EXPECT_EQ(call.args[0], kGarbage);
  EXPECT_EQ(call.args[2], kGarbage);
}

// Against the ids as DEN0022D prints them, since psci_abi.h composes its own.
TEST(SmcccTest, FunctionIdsAreTheSpecifications) {
  EXPECT_EQ(PSCI_VERSION, 0x84000000u);
  EXPECT_EQ(PSCI_CPU_SUSPEND_64, 0xc4000001u);
  EXPECT_EQ(PSCI_CPU_OFF, 0x84000002u);
  EXPECT_EQ(PSCI_CPU_ON_32, 0x84000003u);
  EXPECT_EQ(PSCI_CPU_ON_64, 0xc4000003u);
  EXPECT_EQ(PSCI_AFFINITY_INFO_64, 0xc4000004u);
  EXPECT_EQ(PSCI_MIGRATE_INFO_TYPE, 0x84000006u);
  EXPECT_EQ(PSCI_SYSTEM_OFF, 0x84000008u);
  EXPECT_EQ(PSCI_SYSTEM_RESET, 0x84000009u);
  EXPECT_EQ(PSCI_FEATURES, 0x8400000au);
  EXPECT_EQ(PSCI_SYSTEM_SUSPEND_64, 0xc400000eu);
  EXPECT_EQ(PSCI_SYSTEM_RESET2_64, 0xc4000012u);
}

TEST(SmcccTest, EveryImplementedCallHasAName) {
  for (uint32_t number = 0; number < PSCI_NUMBERS; ++number) {
    for (const uint32_t function :
         {uint32_t{PSCI_32(number)}, uint32_t{PSCI_64(number)}}) {
      if (IsImplemented(function)) {
        EXPECT_NE(FunctionName(function), "unknown") << std::hex << function;
      }
    }
  }
}

TEST(SmcccTest, CallsThatExistInOneWidthOnlyAreUnknownInTheOther) {
  EXPECT_FALSE(IsImplemented(PSCI_64(0x00)));  // PSCI_VERSION
  EXPECT_FALSE(IsImplemented(PSCI_64(0x02)));  // CPU_OFF
  EXPECT_FALSE(IsImplemented(PSCI_64(0x08)));  // SYSTEM_OFF
  EXPECT_FALSE(IsImplemented(PSCI_64(0x0a)));  // PSCI_FEATURES
}

}  // namespace
}  // namespace psci
