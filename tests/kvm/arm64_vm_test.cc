// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <filesystem>
#include <string>

#include "absl/algorithm/container.h"
#include "absl/strings/str_format.h"
#include "tests/kvm/fake_kvm.h"
#include "vmm/kvm/vm.h"

namespace vmm {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using Attribute = FakeKvm::Attribute;

VmSpec Spec(uint32_t vcpus = 1) {
  return {.vcpus = vcpus,
          .last_address = GuestAddress(0x7fffffff),
          .gic_distributor = GuestRange::Fixed(0x08000000, 0x10000),
          .gic_cpu = GuestRange::Fixed(0x08010000, 0x10000),
          .gic_redistributors = GuestRange::Fixed(0x080a0000, 0xf60000),
          .gic_redistributors_high = GuestRange::Fixed(0x4000000000, 0x4000000),
          .spis = 96};
}

// A machine's way from its creation to the first entry.
struct Built {
  absl::Status status;
  std::unique_ptr<Vm> vm;
  std::vector<std::unique_ptr<Vcpu>> vcpus;
};
Built Build(const VmSpec& spec) {
  static char ram[4096];
  Built built;
  auto vm = OpenKvm(spec);
  built.status = vm.status();
  if (!vm.ok()) return built;
  built.vm = *std::move(vm);
  built.status = built.vm->AddRam(GuestRange::Fixed(0x40000000, 4096), ram);
  if (!built.status.ok()) return built;
  auto vcpus = built.vm->CreateVcpus();
  built.status = vcpus.status();
  if (vcpus.ok()) built.vcpus = *std::move(vcpus);
  return built;
}

class LoneVcpuTest : public testing::Test {
 protected:
  FakeKvm kvm_;
};

// Half of a small machine's ioctls would be for that.
TEST_F(LoneVcpuTest, NobodyStartsItAgainSoItsRegistersAreNotKept) {
  Built lone = Build(Spec(1));
  ASSERT_TRUE(lone.status.ok()) << lone.status;
  EXPECT_THAT(kvm_.calls(),
              testing::Not(testing::Contains("KVM_GET_REG_LIST")));
  kvm_.Forget();
  EXPECT_TRUE(lone.vcpus[0]->Reset().ok());
  EXPECT_THAT(kvm_.calls(), testing::IsEmpty());
}

TEST_F(LoneVcpuTest, OneOfTwoIsReset) {
  Built two = Build(Spec(2));
  ASSERT_TRUE(two.status.ok()) << two.status;
  EXPECT_EQ(absl::c_count(kvm_.calls(), "KVM_GET_REG_LIST"), 2);
  kvm_.Forget();
  EXPECT_TRUE(two.vcpus[0]->Reset().ok());
  EXPECT_THAT(kvm_.calls(), testing::Contains("KVM_SET_ONE_REG"));
}

void ExpectLacks(const absl::Status& status, const std::string& what,
                 const char* remedy) {
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(what));
  EXPECT_THAT(std::string(status.message()), HasSubstr(remedy));
}

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

TEST(Arm64VmTest, CallsKvmInTheOrderThatItDemands) {
  FakeKvm kvm;
  const Built built = Build(Spec(2));
  ASSERT_TRUE(built.status.ok()) << built.status;
  EXPECT_EQ(built.vcpus.size(), 2u);
  std::vector<std::string> calls = kvm.calls();
  std::erase_if(calls, [](const std::string& name) {
    return name == "KVM_GET_ONE_REG" || name == "KVM_SET_ONE_REG" ||
           name == "KVM_CHECK_EXTENSION" || name == "KVM_GET_REG_LIST";
  });
  EXPECT_THAT(
      calls,
      ElementsAre("KVM_CREATE_VM", "KVM_ENABLE_CAP", "KVM_CREATE_DEVICE",
                  "KVM_SET_DEVICE_ATTR", "KVM_SET_DEVICE_ATTR",
                  "KVM_SET_USER_MEMORY_REGION", "KVM_GET_VCPU_MMAP_SIZE",
                  "KVM_ARM_PREFERRED_TARGET", "KVM_CREATE_VCPU",
                  "KVM_ARM_VCPU_INIT", "KVM_CREATE_VCPU", "KVM_ARM_VCPU_INIT",
                  // The GIC's initialisation, then the filters: no vCPU runs.
                  "KVM_SET_DEVICE_ATTR", "KVM_SET_DEVICE_ATTR",
                  "KVM_SET_DEVICE_ATTR", "KVM_SET_DEVICE_ATTR",
                  "KVM_SET_DEVICE_ATTR"));
}

// The status for each error, call by call, and no descriptor is left open.
TEST(Arm64VmTest, EveryCallThatFailsEndsTheBuildWithTheRightStatus) {
  size_t calls = 0;
  {
    FakeKvm kvm;
    kvm.capabilities[KVM_CAP_ARM_SVE] = 1;
    ASSERT_TRUE(Build(Spec(2)).status.ok());
    calls = kvm.calls().size();
  }
  const size_t descriptors = OpenDescriptors();
  for (const int error : {EINVAL, EBADF, EBUSY, EPERM, EIO, ENODEV, ENXIO,
                          ENOTTY, ENOMEM, EMFILE, ENFILE, ENOSPC}) {
    for (size_t i = 0; i < calls; ++i) {
      FakeKvm kvm;
      kvm.capabilities[KVM_CAP_ARM_SVE] = 1;
      kvm.FailCall(i, error);
      const Built built = Build(Spec(2));
      const std::string name = kvm.calls()[i];
      SCOPED_TRACE(name + ": " + std::strerror(error));
      // What a capability is asked for is optional, each time.
      if (name == "KVM_CHECK_EXTENSION") {
        EXPECT_TRUE(built.status.ok()) << built.status;
        continue;
      }
      // A register that only this host lets nobody write is left out.
      if (name == "KVM_SET_ONE_REG" &&
          (error == EINVAL || error == EPERM || error == EBUSY)) {
        EXPECT_TRUE(built.status.ok()) << built.status;
        continue;
      }
      // It does not say so twice, as a KVM that lacks something does.
      const bool lacks =
          (name == "KVM_ARM_PREFERRED_TARGET" || name == "KVM_CREATE_DEVICE") &&
          error == ENODEV;
      const bool exhausted = error == ENOMEM || error == EMFILE ||
                             error == ENFILE || error == ENOSPC;
      EXPECT_EQ(built.status.code(), lacks ? StatusCode::kFailedPrecondition
                                     : exhausted
                                         ? StatusCode::kResourceExhausted
                                         : StatusCode::kInternal)
          << built.status;
      if (!lacks) {
        EXPECT_THAT(std::string(built.status.message()), HasSubstr(name));
        EXPECT_THAT(std::string(built.status.message()),
                    HasSubstr(std::strerror(error)));
      }
    }
    EXPECT_EQ(OpenDescriptors(), descriptors) << std::strerror(error);
  }
}

TEST(Arm64VmTest, AnInterruptedCallIsRepeated) {
  size_t calls = 0;
  {
    FakeKvm kvm;
    ASSERT_TRUE(Build(Spec()).status.ok());
    calls = kvm.calls().size();
  }
  for (size_t i = 0; i < calls; ++i) {
    FakeKvm kvm;
    kvm.FailCall(i, EINTR);
    EXPECT_TRUE(Build(Spec()).status.ok()) << kvm.calls()[i];
  }
}

TEST(Arm64VmTest, WithoutDevKvmTheRemedyDependsOnTheError) {
  FakeKvm kvm;
  for (const int error : {EACCES, EPERM}) {
    kvm.open_error = error;
    ExpectLacks(Build(Spec()).status, std::strerror(error),
                "add yourself to the group");
  }
  for (const int error : {ENOENT, ENODEV, ENXIO}) {
    kvm.open_error = error;
    ExpectLacks(Build(Spec()).status, std::strerror(error),
                "use an arm64 host with KVM");
  }
  kvm.open_error = EMFILE;
  EXPECT_EQ(Build(Spec()).status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(kvm.calls(), ElementsAre());
}

TEST(Arm64VmTest, MoreVcpusThanKvmRunsAreRefused) {
  for (const uint32_t vcpus : {8u, 9u}) {
    FakeKvm kvm;
    kvm.capabilities[KVM_CAP_MAX_VCPUS] = 8;
    const absl::Status status = OpenKvm(Spec(vcpus)).status();
    if (vcpus == 8) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      ExpectLacks(status, "9 vCPUs", "--cpus");
    }
  }
  FakeKvm silent;
  silent.capabilities.erase(KVM_CAP_MAX_VCPUS);
  EXPECT_TRUE(OpenKvm(Spec(3)).ok());
}

struct AddressCase {
  uint64_t last;
  int limit;  // 0: a KVM that does not say.
  std::optional<unsigned long> type;
};

TEST(Arm64VmTest, AsksForAsManyAddressBitsAsAreNeeded) {
  constexpr AddressCase kCases[] = {
      {0x7fffffff, 0, 0},
      {(uint64_t{1} << 40) - 1, 0, 0},
      {uint64_t{1} << 40, 0, std::nullopt},
      {0x7fffffff, 40, 0},
      {0x7fffffff, 48, 0},
      {(uint64_t{1} << 40) - 1, 48, 0},
      {uint64_t{1} << 40, 48, 48},
      {uint64_t{1} << 47, 48, 48},
      {uint64_t{1} << 48, 48, std::nullopt},
      // 0 would be 40 bits, which such a host lacks.
      {0x7fffffff, 36, 36},
      {(uint64_t{1} << 36) - 1, 36, 36},
      {uint64_t{1} << 36, 36, std::nullopt},
  };
  for (const AddressCase& each : kCases) {
    SCOPED_TRACE(testing::Message() << each.last << " of " << each.limit);
    FakeKvm kvm;
    kvm.capabilities[KVM_CAP_ARM_VM_IPA_SIZE] = each.limit;
    VmSpec spec = Spec();
    spec.last_address = GuestAddress(each.last);
    const absl::Status status = OpenKvm(spec).status();
    if (each.type) {
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(kvm.vm_type, *each.type);
    } else {
      ExpectLacks(status,
                  absl::StrFormat("needs %d bits of physical address, this "
                                  "host's KVM has %d;",
                                  std::bit_width(each.last),
                                  each.limit == 0 ? 40 : each.limit),
                  "--memory");
    }
  }
}

TEST(Arm64VmTest, AKvmWithoutTheSmcccFilterIsTooOld) {
  FakeKvm kvm;
  kvm.smccc_filter = false;
  ExpectLacks(Build(Spec()).status, "no SMCCC filter", "--psci kvm");
}

TEST(Arm64VmTest, AKvmThatKeepsUndecodableAccessesToItselfIsTooOld) {
  FakeKvm kvm;
  kvm.capabilities.erase(KVM_CAP_ARM_NISV_TO_USER);
  ExpectLacks(OpenKvm(Spec()).status(), "cannot decode", "Linux 5.5");
}

TEST(Arm64VmTest, AKvmThatDoesNotKnowTheCpuIsTooOld) {
  FakeKvm kvm;
  kvm.preferred_target = false;
  ExpectLacks(Build(Spec()).status, "no vCPU for its CPUs", "newer Linux");
}

TEST(Arm64VmTest, PsciIsForwardedIfTheVmmAnswersIt) {
  FakeKvm kvm;
  ASSERT_TRUE(Build(Spec(2)).status.ok());
  ASSERT_EQ(kvm.filters.size(), 3u);
  constexpr uapi::SmcccFilter kExpected[] = {
      {0x84000000, 32, uapi::kSmcccFilterForwardToUser, {}},
      {0xc4000000, 32, uapi::kSmcccFilterForwardToUser, {}},
      {0x95c1ba5e, 4, uapi::kSmcccFilterDeny, {}}};
  EXPECT_EQ(std::memcmp(kvm.filters.data(), kExpected, sizeof(kExpected)), 0);
}

TEST(Arm64VmTest, PsciIsNotForwardedIfKvmAnswersIt) {
  FakeKvm kvm;
  kvm.smccc_filter = false;
  VmSpec spec = Spec(2);
  spec.psci = PsciHandler::kKvm;
  ASSERT_TRUE(Build(spec).status.ok());
  EXPECT_TRUE(kvm.filters.empty());
}

bool Has(const FakeKvm::Vcpu& vcpu, unsigned feature) {
  return (vcpu.features[feature / 32] >> (feature % 32) & 1) != 0;
}

TEST(Arm64VmTest, AVcpuOfAPlainHostIsPlain) {
  FakeKvm kvm;
  ASSERT_TRUE(Build(Spec()).status.ok());
  EXPECT_EQ(kvm.vcpus[0].features[0], 1u << KVM_ARM_VCPU_PSCI_0_2);
  EXPECT_FALSE(kvm.vcpus[0].finalized);
}

TEST(Arm64VmTest, AVcpuHasWhatTheHostHas) {
  FakeKvm kvm;
  kvm.capabilities[KVM_CAP_ARM_SVE] = 1;
  kvm.capabilities[KVM_CAP_ARM_PTRAUTH_ADDRESS] = 1;
  kvm.capabilities[KVM_CAP_ARM_PTRAUTH_GENERIC] = 1;
  ASSERT_TRUE(Build(Spec(2)).status.ok());
  for (const FakeKvm::Vcpu& vcpu : kvm.vcpus) {
    EXPECT_TRUE(Has(vcpu, KVM_ARM_VCPU_PSCI_0_2));
    EXPECT_TRUE(Has(vcpu, KVM_ARM_VCPU_SVE));
    EXPECT_TRUE(Has(vcpu, KVM_ARM_VCPU_PTRAUTH_ADDRESS));
    EXPECT_TRUE(Has(vcpu, KVM_ARM_VCPU_PTRAUTH_GENERIC));
    EXPECT_FALSE(Has(vcpu, KVM_ARM_VCPU_POWER_OFF));
    EXPECT_TRUE(vcpu.finalized);
  }
}

TEST(Arm64VmTest, PointerAuthenticationIsAllOrNothing) {
  for (const unsigned long only :
       {KVM_CAP_ARM_PTRAUTH_ADDRESS + 0ul, KVM_CAP_ARM_PTRAUTH_GENERIC + 0ul}) {
    FakeKvm kvm;
    kvm.capabilities[only] = 1;
    ASSERT_TRUE(Build(Spec()).status.ok());
    EXPECT_EQ(kvm.vcpus[0].features[0], 1u << KVM_ARM_VCPU_PSCI_0_2);
  }
}

TEST(Arm64VmTest, OnlyUnderKvmsPsciDoOthersStartOff) {
  FakeKvm kvm;
  VmSpec spec = Spec(3);
  spec.psci = PsciHandler::kKvm;
  ASSERT_TRUE(Build(spec).status.ok());
  EXPECT_FALSE(Has(kvm.vcpus[0], KVM_ARM_VCPU_POWER_OFF));
  EXPECT_TRUE(Has(kvm.vcpus[1], KVM_ARM_VCPU_POWER_OFF));
  EXPECT_TRUE(Has(kvm.vcpus[2], KVM_ARM_VCPU_POWER_OFF));
}

TEST(Arm64VmTest, RamIsOneSlot) {
  FakeKvm kvm;
  auto vm = OpenKvm(Spec());
  ASSERT_TRUE(vm.ok());
  char ram = 0;
  ASSERT_TRUE(
      (*vm)->AddRam(GuestRange::Fixed(0x40000000, 0x200000), &ram).ok());
  ASSERT_EQ(kvm.memory.size(), 1u);
  EXPECT_EQ(kvm.memory[0].slot, 0u);
  EXPECT_EQ(kvm.memory[0].flags, 0u);
  EXPECT_EQ(kvm.memory[0].guest_phys_addr, 0x40000000u);
  EXPECT_EQ(kvm.memory[0].memory_size, 0x200000u);
  EXPECT_EQ(kvm.memory[0].userspace_addr, reinterpret_cast<uintptr_t>(&ram));
}

TEST(Arm64VmTest, AnSpiIsALineOfTheGic) {
  FakeKvm kvm;
  const Built built = Build(Spec());
  ASSERT_TRUE(built.vm->SetSpi(1, true).ok());
  ASSERT_TRUE(built.vm->SetSpi(95, false).ok());
  ASSERT_EQ(kvm.lines.size(), 2u);
  EXPECT_EQ(kvm.lines[0].irq, 1u << 24 | 33u);  // An SPI: INTID 33.
  EXPECT_EQ(kvm.lines[0].level, 1u);
  EXPECT_EQ(kvm.lines[1].irq, 1u << 24 | 127u);
  EXPECT_EQ(kvm.lines[1].level, 0u);
  kvm.FailNext(uapi::kIrqLine, EINVAL);
  EXPECT_EQ(built.vm->SetSpi(1, true).code(), StatusCode::kInternal);
}

constexpr uint32_t kAddress = KVM_DEV_ARM_VGIC_GRP_ADDR;
constexpr uint64_t kRegion = KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION;

// count in 63:52, base, index in 11:0.
constexpr Attribute kInterrupts = {KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, 128};
constexpr Attribute kInit = {KVM_DEV_ARM_VGIC_GRP_CTRL,
                             KVM_DEV_ARM_VGIC_CTRL_INIT, 0};
constexpr Attribute kDistributor = {kAddress, KVM_VGIC_V3_ADDR_TYPE_DIST,
                                    0x08000000};

TEST(Arm64GicTest, V3HasARedistributorForEachVcpu) {
  FakeKvm kvm;
  const Built built = Build(Spec(3));
  EXPECT_EQ(built.vm->gic(), GicVersion::kV3);
  EXPECT_EQ(kvm.gic, KVM_DEV_TYPE_ARM_VGIC_V3);
  EXPECT_THAT(
      kvm.gic_attributes,
      ElementsAre(kDistributor,
                  Attribute{kAddress, kRegion, uint64_t{3} << 52 | 0x080a0000},
                  kInterrupts, kInit));
}

// 0xf60000 bytes hold 123 of 0x20000 bytes each.
TEST(Arm64GicTest, TheRedistributorsThatDoNotFitLieAboveRam) {
  for (const uint32_t vcpus : {122u, 123u}) {
    FakeKvm kvm;
    ASSERT_TRUE(Build(Spec(vcpus)).status.ok());
    EXPECT_THAT(kvm.gic_attributes,
                ElementsAre(kDistributor,
                            Attribute{kAddress, kRegion,
                                      uint64_t{vcpus} << 52 | 0x080a0000},
                            kInterrupts, kInit));
  }
  for (const uint32_t vcpus : {124u, 512u}) {
    FakeKvm kvm;
    ASSERT_TRUE(Build(Spec(vcpus)).status.ok());
    EXPECT_THAT(
        kvm.gic_attributes,
        ElementsAre(
            kDistributor,
            Attribute{kAddress, kRegion, uint64_t{123} << 52 | 0x080a0000},
            Attribute{kAddress, kRegion,
                      uint64_t{vcpus - 123} << 52 | 0x4000000000 | 1},
            kInterrupts, kInit));
  }
}

TEST(Arm64GicTest, V3IsPreferred) {
  FakeKvm kvm;
  kvm.devices = {KVM_DEV_TYPE_ARM_VGIC_V2, KVM_DEV_TYPE_ARM_VGIC_V3};
  EXPECT_EQ(Build(Spec()).vm->gic(), GicVersion::kV3);
}

TEST(Arm64GicTest, V2IsWhatAHostWithoutV3Has) {
  FakeKvm kvm;
  kvm.devices = {KVM_DEV_TYPE_ARM_VGIC_V2};
  const Built built = Build(Spec(8));
  ASSERT_TRUE(built.status.ok()) << built.status;
  EXPECT_EQ(built.vm->gic(), GicVersion::kV2);
  EXPECT_EQ(kvm.gic, KVM_DEV_TYPE_ARM_VGIC_V2);
  EXPECT_THAT(
      kvm.gic_attributes,
      ElementsAre(Attribute{kAddress, KVM_VGIC_V2_ADDR_TYPE_DIST, 0x08000000},
                  Attribute{kAddress, KVM_VGIC_V2_ADDR_TYPE_CPU, 0x08010000},
                  kInterrupts, kInit));
}

TEST(Arm64GicTest, V2HasEightCpusAtMost) {
  FakeKvm kvm;
  kvm.devices = {KVM_DEV_TYPE_ARM_VGIC_V2};
  ExpectLacks(OpenKvm(Spec(9)).status(), "GICv2 only", "--cpus");
}

TEST(Arm64GicTest, AHostWithoutAGicIsRefused) {
  FakeKvm kvm;
  kvm.devices = {};
  ExpectLacks(OpenKvm(Spec()).status(), "neither GICv3 nor GICv2",
              "use a host");
}

}  // namespace
}  // namespace vmm
