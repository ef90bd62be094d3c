// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/dispatcher.h"

#include <gtest/gtest.h>

#include <vector>

namespace psci {
namespace {

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kEntry = kRam + 0x80000;
constexpr uint64_t kContext = 0x1234;

Outcome Is(Status status) {
  return Return{static_cast<uint64_t>(static_cast<int64_t>(status))};
}
Outcome Is(uint64_t value) { return Return{value}; }

// Twenty CPUs, Aff0 0 to 15 and Aff1 0 or 1; CPU 0 is on.
class DispatcherTest : public testing::Test {
 protected:
  DispatcherTest() : table_(Topology()), psci_(table_, IsRam) {
    EXPECT_TRUE(table_.PowerOn(VcpuId{0}, {}));
    table_.AwaitBoot(VcpuId{0});
  }

  static std::vector<Mpidr> Topology() {
    std::vector<Mpidr> topology;
    for (uint64_t i = 0; i < 20; ++i) {
      topology.push_back(Mpidr{(i & 0xf) | (i >> 4) << 8});
    }
    return topology;
  }
  static bool IsRam(uint64_t address) {
    return address >= kRam && address < kRam + (1 << 20);
  }

  Outcome Call(uint32_t function, uint64_t x1 = 0, uint64_t x2 = 0,
               uint64_t x3 = 0) {
    return psci_.Handle({function, {x1, x2, x3}});
  }
  void TurnOn(VcpuId vcpu) {
    EXPECT_TRUE(table_.PowerOn(vcpu, {}));
    table_.AwaitBoot(vcpu);
  }
  // Brings CPU 1 into `state`.
  void Bring(PowerState state) {
    if (state == PowerState::kOnPending) {
      EXPECT_TRUE(table_.PowerOn(VcpuId{1}, {}));
    }
    if (state == PowerState::kOn) TurnOn(VcpuId{1});
    ASSERT_EQ(table_.StateOf(VcpuId{1}), state);
  }

  PowerTable table_;
  Dispatcher psci_;
};

TEST_F(DispatcherTest, VersionIs1_1) {
  EXPECT_EQ(Call(PSCI_VERSION), Is(0x10001));
}

TEST_F(DispatcherTest, FeaturesListsEveryImplementedCallAndItself) {
  for (const uint32_t function :
       {PSCI_VERSION, PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64, PSCI_CPU_OFF,
        PSCI_CPU_ON_32, PSCI_CPU_ON_64, PSCI_AFFINITY_INFO_32,
        PSCI_AFFINITY_INFO_64, PSCI_MIGRATE_INFO_TYPE, PSCI_SYSTEM_OFF,
        PSCI_SYSTEM_RESET, PSCI_FEATURES, PSCI_SYSTEM_RESET2_32,
        PSCI_SYSTEM_RESET2_64}) {
    EXPECT_EQ(Call(PSCI_FEATURES, function), Is(Status::kSuccess))
        << std::hex << function;
  }
}

// Otherwise Linux stays on SMCCC 1.0 and loses the workaround calls.
TEST_F(DispatcherTest, FeaturesSaysThatSmcccVersionMayBeCalled) {
  EXPECT_EQ(Call(PSCI_FEATURES, SMCCC_VERSION_ID), Is(Status::kSuccess));
}

TEST_F(DispatcherTest, FeaturesDeniesWhatIsNotThere) {
  for (const uint32_t function :
       {PSCI_MIGRATE_64, PSCI_SYSTEM_SUSPEND_32, PSCI_SYSTEM_SUSPEND_64,
        PSCI_CPU_FREEZE, PSCI_SET_SUSPEND_MODE, PSCI_STAT_COUNT_64,
        PSCI_64(0x02), PSCI_32(0x1f), 0u, 0xffffffffu}) {
    EXPECT_EQ(Call(PSCI_FEATURES, function), Is(Status::kNotSupported))
        << std::hex << function;
  }
}

// libkrun panics, NOVA's peers leave X0 as it was: every other id answers -1.
TEST_F(DispatcherTest, UnknownCallsAreNotSupported) {
  for (uint32_t number = 0; number < 0x40; ++number) {
    for (const uint32_t function :
         {uint32_t{PSCI_32(number)}, uint32_t{PSCI_64(number)}}) {
      if (!IsImplemented(function)) {
        EXPECT_EQ(Call(function, 1, 2, 3), Is(Status::kNotSupported))
            << std::hex << function;
      }
    }
  }
  EXPECT_EQ(Call(0), Is(Status::kNotSupported));
  EXPECT_EQ(Call(0x4b000000), Is(Status::kNotSupported));
}

class CpuOnTest : public DispatcherTest,
                  public testing::WithParamInterface<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(BothWidths, CpuOnTest,
                         testing::Values(PSCI_CPU_ON_32, PSCI_CPU_ON_64));

TEST_P(CpuOnTest, StartsACpuThatIsOff) {
  EXPECT_EQ(Call(GetParam(), 1, kEntry, kContext), Is(Status::kSuccess));
  EXPECT_EQ(table_.AwaitBoot(VcpuId{1}), (BootContext{kEntry, kContext}));
}

TEST_P(CpuOnTest, ReachesCpusByAffinityNotByIndex) {
  EXPECT_EQ(Call(GetParam(), 0x103, kEntry, kContext), Is(Status::kSuccess));
  EXPECT_EQ(table_.StateOf(VcpuId{19}), PowerState::kOnPending);
  EXPECT_EQ(Call(GetParam(), 19, kEntry, kContext),
            Is(Status::kInvalidParameters));
}

TEST_P(CpuOnTest, IsAlreadyOnInEveryOtherState) {
  EXPECT_EQ(Call(GetParam(), 0, kEntry), Is(Status::kAlreadyOn));  // Itself.
  Bring(PowerState::kOnPending);
  EXPECT_EQ(Call(GetParam(), 1, kEntry), Is(Status::kAlreadyOn));
  table_.AwaitBoot(VcpuId{1});
  EXPECT_EQ(Call(GetParam(), 1, kEntry), Is(Status::kAlreadyOn));
}

TEST_P(CpuOnTest, RefusesATargetThatDoesNotExist) {
  for (const uint64_t target : {0x10ull, 0x200ull, 0x10000ull, 0x80000000ull,
                                0x01000001ull, 0x40000001ull}) {
    EXPECT_EQ(Call(GetParam(), target, kEntry), Is(Status::kInvalidParameters))
        << std::hex << target;
  }
}

TEST_P(CpuOnTest, RefusesAnEntryThatIsNotAlignedRam) {
  for (const uint64_t entry : {uint64_t{0}, kRam - 4, kRam + (1 << 20),
                               kEntry + 1, kEntry + 2, uint64_t{0x09000000}}) {
    EXPECT_EQ(Call(GetParam(), 1, entry), Is(Status::kInvalidAddress))
        << std::hex << entry;
  }
  EXPECT_EQ(table_.StateOf(VcpuId{1}), PowerState::kOff);
}

TEST_F(DispatcherTest, ReservedAffinityBitsOfA64BitTargetAreInvalid) {
  for (const uint64_t bit : {24u, 30u, 31u, 40u, 63u}) {
    EXPECT_EQ(Call(PSCI_CPU_ON_64, uint64_t{1} << bit | 1, kEntry),
              Is(Status::kInvalidParameters))
        << bit;
    EXPECT_EQ(Call(PSCI_AFFINITY_INFO_64, uint64_t{1} << bit | 1, 0),
              Is(Status::kInvalidParameters))
        << bit;
  }
}

TEST_F(DispatcherTest, UpperHalvesOfA32BitCpuOnAreIgnored) {
  constexpr uint64_t kGarbage = 0xffffffff00000000;
  EXPECT_EQ(Call(PSCI_CPU_ON_32, kGarbage | 1, kGarbage | kEntry, kGarbage | 7),
            Is(Status::kSuccess));
  EXPECT_EQ(table_.AwaitBoot(VcpuId{1}), (BootContext{kEntry, 7}));
}

TEST_F(DispatcherTest, CpuOffPowersDown) {
  EXPECT_EQ(Call(PSCI_CPU_OFF, 1, 2, 3), Outcome(PowerDown{}));
}

class AffinityInfoTest : public DispatcherTest,
                         public testing::WithParamInterface<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(BothWidths, AffinityInfoTest,
                         testing::Values(PSCI_AFFINITY_INFO_32,
                                         PSCI_AFFINITY_INFO_64));

// KVM shows a CPU as on from the moment CPU_ON returned SUCCESS.
TEST_P(AffinityInfoTest, KnowsOnAndOffAndNoThirdValue) {
  EXPECT_EQ(Call(GetParam(), 0), Is(PSCI_AFFINITY_ON));
  EXPECT_EQ(Call(GetParam(), 1), Is(PSCI_AFFINITY_OFF));
  Bring(PowerState::kOnPending);
  EXPECT_EQ(Call(GetParam(), 1), Is(PSCI_AFFINITY_ON));
  table_.AwaitBoot(VcpuId{1});
  EXPECT_EQ(Call(GetParam(), 1), Is(PSCI_AFFINITY_ON));
  EXPECT_FALSE(table_.PowerOff(VcpuId{1}));
  EXPECT_EQ(Call(GetParam(), 1), Is(PSCI_AFFINITY_OFF));
}

TEST_P(AffinityInfoTest, HigherLevelsCoverAllCpusBelow) {
  EXPECT_EQ(Call(GetParam(), 0x00, 1), Is(PSCI_AFFINITY_ON));  // CPU 0 is.
  EXPECT_EQ(Call(GetParam(), 0x100, 1), Is(PSCI_AFFINITY_OFF));
  TurnOn(VcpuId{17});
  EXPECT_EQ(Call(GetParam(), 0x100, 1), Is(PSCI_AFFINITY_ON));
  EXPECT_EQ(Call(GetParam(), 0, 2), Is(PSCI_AFFINITY_ON));
  EXPECT_EQ(Call(GetParam(), 0, 3), Is(PSCI_AFFINITY_ON));
}

// kvmtool forgets to mask the target and finds nobody.
TEST_P(AffinityInfoTest, FieldsBelowTheLevelAreIgnored) {
  EXPECT_EQ(Call(GetParam(), 0x1ff, 1), Is(PSCI_AFFINITY_OFF));
  EXPECT_EQ(Call(GetParam(), 0xffff, 2), Is(PSCI_AFFINITY_ON));
}

TEST_P(AffinityInfoTest, RefusesUnknownCpusAndLevels) {
  EXPECT_EQ(Call(GetParam(), 0x10), Is(Status::kInvalidParameters));
  EXPECT_EQ(Call(GetParam(), 0x200, 1), Is(Status::kInvalidParameters));
  EXPECT_EQ(Call(GetParam(), 0, 4), Is(Status::kInvalidParameters));
}

TEST_F(DispatcherTest, A64BitAffinityLevelIsReadWhole) {
  EXPECT_EQ(Call(PSCI_AFFINITY_INFO_64, 0, uint64_t{1} << 32),
            Is(Status::kInvalidParameters));
}

TEST_F(DispatcherTest, SuspendWaitsInStandbyAndInPowerDown) {
  EXPECT_EQ(Call(PSCI_CPU_SUSPEND_64, 0), Outcome(Suspend{}));
  EXPECT_EQ(Call(PSCI_CPU_SUSPEND_64, 1 << 16 | 3, kEntry), Outcome(Suspend{}));
}

// tgoskits #1692 and others read StateType from bit 30, the extended format;
// PSCI_FEATURES(CPU_SUSPEND) announces the original one.
TEST_F(DispatcherTest, SuspendChecksItsArguments) {
  EXPECT_EQ(Call(PSCI_CPU_SUSPEND_64, 1u << 30, kEntry),
            Is(Status::kInvalidParameters));
  EXPECT_EQ(Call(PSCI_CPU_SUSPEND_64, 1 << 16, 0x09000000),
            Is(Status::kInvalidAddress));
}

TEST_F(DispatcherTest, MigrationIsNotRequired) {
  EXPECT_EQ(Call(PSCI_MIGRATE_INFO_TYPE), Is(2));
  EXPECT_EQ(Call(PSCI_MIGRATE_64), Is(Status::kNotSupported));
}

TEST_F(DispatcherTest, SystemSuspendIsRefused) {
  EXPECT_EQ(Call(PSCI_SYSTEM_SUSPEND_64, kEntry), Is(Status::kNotSupported));
}

TEST_F(DispatcherTest, SystemOffAndResetAreFinal) {
  EXPECT_EQ(Call(PSCI_SYSTEM_OFF), Outcome(SystemOff{}));
  EXPECT_EQ(Call(PSCI_SYSTEM_RESET), Outcome(SystemReset{}));
}

TEST_F(DispatcherTest, Reset2KeepsItsTypeAndCookie) {
  EXPECT_EQ(Call(PSCI_SYSTEM_RESET2_64, 0, 0x123456789a),
            Outcome(SystemReset{true, 0, 0x123456789a}));
  EXPECT_EQ(Call(PSCI_SYSTEM_RESET2_32, 0x80000001, 5),
            Outcome(SystemReset{true, 0x80000001, 5}));
  EXPECT_EQ(Call(PSCI_SYSTEM_RESET2_32, 0x80000000, 6),
            Outcome(SystemReset{true, 0x80000000, 6}));
  for (const uint64_t type : {0x1u, 0x7fffffffu}) {
    EXPECT_EQ(Call(PSCI_SYSTEM_RESET2_64, type),
              Is(Status::kInvalidParameters));
  }
}

}  // namespace
}  // namespace psci
