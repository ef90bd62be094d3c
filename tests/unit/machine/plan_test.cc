// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/support/toy_device.h"
#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kMiB = uint64_t{1} << 20;

MachineSpec Spec(uint32_t vcpus) {
  return {.kernel = *ParseRaw("stub", Content(std::vector<uint8_t>(64, 0x42))),
          .memory_bytes = 64 * kMiB,
          .vcpus = vcpus};
}

MachineSpec ParkingSpec(uint32_t vcpus) {
  MachineSpec spec = Spec(vcpus);
  spec.park = ParkMode::kHost;
  return spec;
}

MachinePlan Planned(const MachineSpec& spec) {
  auto plan = Plan(spec);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *std::move(plan);
}

json Golden(const std::string& name) {
  const std::string path =
      absl::StrCat(PARKVMM_SOURCE_DIR "/tests/golden/", name);
  std::ifstream file(path);
  const json golden = json::parse(file, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(golden.is_discarded()) << path;
  return golden;
}

std::string Refusal(const MachineSpec& spec) {
  const absl::Status status = Plan(spec).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(PlanTest, FourCpusMatchTheGoldenPlan) {
  MachineSpec spec = ParkingSpec(4);
  spec.initrd = Content(std::vector<uint8_t>(5000));
  spec.command_line = "console=ttyAMA0 quiet";
  const json plan = ToJson(Planned(spec));
  EXPECT_EQ(plan, Golden("plan_4cpu.json")) << plan.dump(2);
}

TEST(PlanTest, FiveHundredTwelveCpusMatchTheGoldenPlan) {
  MachineSpec spec = ParkingSpec(512);
  spec.memory_bytes = uint64_t{4} << 30;
  const json plan = ToJson(Planned(spec));
  EXPECT_EQ(plan, Golden("plan_512cpu.json")) << plan.dump(2);
}

// 123 redistributors fit below the devices; one more needs the region above
// RAM, and an address space that reaches it.
TEST(PlanTest, TheSecondRedistributorRegionBeginsWithCpu124) {
  for (const uint32_t vcpus : {1u, 122u, 123u}) {
    const MachinePlan plan = Planned(Spec(vcpus));
    EXPECT_THAT(plan.gic_redistributors, ElementsAre(kGicV3Redistributors))
        << vcpus;
    EXPECT_EQ(plan.last_address, plan.ram.last()) << vcpus;
  }
  for (const uint32_t vcpus : {124u, 512u}) {
    const MachinePlan plan = Planned(Spec(vcpus));
    EXPECT_THAT(plan.gic_redistributors,
                ElementsAre(kGicV3Redistributors, kGicV3HighRedistributors))
        << vcpus;
    EXPECT_EQ(plan.last_address, kGicV3HighRedistributors.last()) << vcpus;
  }
}

TEST(PlanTest, EveryCpuHasARedistributor) {
  for (const uint32_t vcpus : {1u, 122u, 123u, 124u, 512u}) {
    uint64_t bytes = 0;
    for (const GuestRange& region : Planned(Spec(vcpus)).gic_redistributors) {
      bytes += region.size();
    }
    EXPECT_GE(bytes, vcpus * kGicV3RedistributorStride) << vcpus;
  }
}

TEST(PlanTest, ParkPagesAreAsFarApartAsTheGuestsPagesAreLarge) {
  struct Case {
    uint32_t guest_page;  // 0: the kernel does not say.
    uint64_t stride;
  };
  for (const Case& c : {Case{0, 4096}, Case{4096, 4096}, Case{16384, 16384},
                        Case{65536, 65536}}) {
    MachineSpec spec = ParkingSpec(20);
    spec.kernel.page_size = c.guest_page;
    const MachinePlan plan = Planned(spec);
    EXPECT_EQ(plan.park->stride, c.stride);
    EXPECT_GE(plan.park->pages.size(), 20 * c.stride);
    EXPECT_EQ(plan.park->pages.base().value() % c.stride, 0u);
  }
}

TEST(PlanTest, AParkedCpuStartsInRamButNotInTheParkPages) {
  const MachinePlan plan = Planned(ParkingSpec(4));
  const GuestRange window = plan.park->window;
  const uint64_t pages = plan.park->pages.base().value();
  const auto judge = [&](uint64_t entry) {
    return JudgeParkEntry(plan, entry);
  };
  using psci::ParkFault;
  EXPECT_EQ(judge(plan.ram.base().value()), std::nullopt);
  EXPECT_EQ(judge(window.base().value() - 4), std::nullopt);
  EXPECT_EQ(judge(window.base().value()), ParkFault::kExitInRegion);
  EXPECT_EQ(judge(pages), ParkFault::kExitInRegion);
  EXPECT_EQ(judge(pages + 3 * plan.park->stride + 16),
            ParkFault::kExitInRegion);
  EXPECT_EQ(judge(window.last().value() - 3), ParkFault::kExitInRegion);
  EXPECT_EQ(judge(plan.ram.base().value() + 2), ParkFault::kExitMisaligned);
  EXPECT_EQ(judge(kPl011.base().value()), ParkFault::kExitInMmio);
  EXPECT_EQ(judge(plan.ram.last().value() + 1), ParkFault::kExitNotRam);
}

TEST(PlanTest, RamBehindParkPagesThatTheUserPlacedIsAPlaceToStart) {
  MachineSpec spec = ParkingSpec(4);
  spec.park_base = GuestAddress(0x43000000);
  const MachinePlan plan = Planned(spec);
  EXPECT_EQ(plan.park->pages.base(), GuestAddress(0x43000000));
  EXPECT_EQ(JudgeParkEntry(plan, plan.park->window.last().value() + 1),
            std::nullopt);
}

TEST(PlanTest, TheParkPagesAreNamedBeforeTheUsersWords) {
  MachineSpec spec = ParkingSpec(2);
  EXPECT_EQ(Planned(spec).command_line, "cpuparkmem=0x43df0000");
  spec.command_line = "quiet -- x";
  EXPECT_EQ(Planned(spec).command_line, "cpuparkmem=0x43df0000 quiet -- x");
  spec.park = ParkMode::kOff;
  EXPECT_EQ(Planned(spec).command_line, "quiet -- x");
}

// faults.md B5: Linux cuts off what is longer, and says nothing.
TEST(PlanTest, ACommandLineThatLinuxWouldCutIsRefused) {
  MachineSpec spec = Spec(1);
  spec.command_line = std::string(2048, 'x');
  EXPECT_TRUE(Plan(spec).ok()) << "a program may take what it likes";
  spec.kernel.raw = false;
  EXPECT_THAT(Refusal(spec), StartsWith("the kernel's command line has 2048 "
                                        "characters and arm64 Linux takes "
                                        "2047"));
  spec.command_line.pop_back();
  EXPECT_TRUE(Plan(spec).ok());
}

TEST(PlanTest, KernelAndItsFilesLieBeforeTheParkPages) {
  MachineSpec spec = ParkingSpec(2);
  spec.initrd = Content(std::vector<uint8_t>(20 * kMiB));
  const MachinePlan plan = Planned(spec);
  EXPECT_LT(plan.boot.initrd->last(), plan.park->window.base());
  spec.initrd = Content(
      std::vector<uint8_t>(32 * kMiB));  // RAM itself would have room for it.
  EXPECT_EQ(Plan(spec).status().code(), absl::StatusCode::kResourceExhausted);
  spec.park = ParkMode::kOff;
  spec.initrd = Content(std::vector<uint8_t>(26 * kMiB));
  EXPECT_TRUE(Plan(spec).ok());
}

TEST(PlanTest, ADeviceOfTheListHasItsPlaceInThePlan) {
  const MachineSpec spec = Spec(1);
  std::vector<DeviceEntry> devices = DevicesOf(spec);
  devices.push_back({.needs = ToyDevice::kNeeds, .make = MakeToyDevice});
  const auto plan = Plan(spec, devices);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(
      ToJson(*plan)["devices"].back(),
      json::parse(R"({"name":"toy","base":"0xc300000","bytes":512,"spi":48})"));
}

TEST(PlanTest, ImpossibleSizesAreRefusedInOneSentence) {
  EXPECT_EQ(Refusal(Spec(0)), "--cpus must be 1 to 512");
  EXPECT_EQ(Refusal(Spec(513)), "--cpus must be 1 to 512");
  MachineSpec spec = Spec(1);
  for (const uint64_t bytes :
       {64 * kMiB + 4096, 63 * kMiB, 14 * kMiB, kRamWindow.size() + 2 * kMiB}) {
    spec.memory_bytes = bytes;
    EXPECT_THAT(
        Refusal(spec),
        testing::StrEq("--memory must be a multiple of 2M from 16M to 255G"));
  }
}

TEST(PlanTest, TheSmallestAndTheLargestMachinesAreNotRefused) {
  MachineSpec spec = Spec(512);
  for (const uint64_t bytes : {16 * kMiB, kRamWindow.size()}) {
    spec.memory_bytes = bytes;
    const auto plan = Plan(spec);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->ram.size(), bytes);
  }
}

// Another mode of parking, or of PSCI, makes them meaningful.
TEST(PlanTest, OptionsThatDoNotContradictEachOtherAreNotRefused) {
  MachineSpec spec = Spec(2);
  spec.psci = PsciHandler::kKvm;
  spec.park = ParkMode::kGuest;
  EXPECT_TRUE(Plan(spec).ok());
  spec.park = ParkMode::kOff;
  spec.command_line = "cpuparkmem=0x1000";
  EXPECT_TRUE(Plan(spec).ok());
  spec.psci = PsciHandler::kVmm;
  spec.firmware.off_ns = 1;
  EXPECT_TRUE(Plan(spec).ok());
}

TEST(PlanTest, FilesMayLieBehindParkPagesThatTheUserPlaced) {
  MachineSpec spec = ParkingSpec(2);
  spec.park_base = GuestAddress(0x41000000);
  spec.initrd = Content(std::vector<uint8_t>(20 * kMiB));
  const MachinePlan plan = Planned(spec);
  EXPECT_GT(plan.boot.initrd->base(), plan.park->window.last());
}

TEST(PlanTest, TheKernelIsAsLargeAsItsImageSaysOrIs) {
  MachineSpec spec = Spec(1);
  spec.kernel.image_size = 4096;
  EXPECT_EQ(Planned(spec).kernel.size(), 4096u);
  spec.kernel.image_size = 0;
  EXPECT_EQ(Planned(spec).kernel.size(), 64u);
  spec.kernel.content = {};
  EXPECT_EQ(Planned(spec).kernel.size(), 1u);  // No range is empty.
}

TEST(PlanTest, ParkOptionsThatContradictEachOtherAreRefused) {
  const auto refusal = [](auto change) {
    MachineSpec spec = ParkingSpec(2);
    change(spec);
    return Refusal(spec);
  };
  EXPECT_THAT(refusal([](MachineSpec& spec) { spec.psci = PsciHandler::kKvm; }),
              HasSubstr("--park host needs --psci vmm"));
  EXPECT_THAT(refusal([](MachineSpec& spec) {
                spec.command_line = "quiet cpuparkmem=0x1000";
              }),
              HasSubstr("cpuparkmem= in --params"));
  EXPECT_THAT(refusal([](MachineSpec& spec) {
                spec.park = ParkMode::kOff;
                spec.park_base = GuestAddress(0x42000000);
              }),
              HasSubstr("--park-base is nothing without"));
  EXPECT_THAT(refusal([](MachineSpec& spec) {
                spec.park = ParkMode::kOff;
                spec.park_no_map = false;
              }),
              HasSubstr("--park-node is nothing without"));
  EXPECT_THAT(refusal([](MachineSpec& spec) {
                spec.park_base = GuestAddress(0x40080000);
              }),
              HasSubstr("overlap the kernel"));
}

TEST(PlanTest, ModelledFirmwareNeedsTheVmmsPsci) {
  MachineSpec spec = Spec(2);
  spec.psci = PsciHandler::kKvm;
  EXPECT_TRUE(Plan(spec).ok());
  spec.firmware.on_ns = 1;
  EXPECT_THAT(Refusal(spec), HasSubstr("--firmware needs --psci vmm"));
}

}  // namespace
}  // namespace vmm
