// SPDX-License-Identifier: Apache-2.0
#include "fdt/machine_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/support/tree_view.h"
#include "vmm/devices/mark_device.h"
#include "vmm/devices/pl011.h"
#include "vmm/devices/pl031.h"

namespace fdt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr uint64_t kMiB = uint64_t{1} << 20;

// Like KVM's default: 16 CPUs to a cluster.
std::vector<uint64_t> Affinities(uint64_t cpus) {
  std::vector<uint64_t> affinities;
  for (uint64_t cpu = 0; cpu < cpus; ++cpu) {
    affinities.push_back((cpu / 16) << 8 | cpu % 16);
  }
  return affinities;
}

// The devices that every machine has, where they always were.
void WriteDevices(TreeWriter& tree) {
  vmm::Pl011({}).Describe(tree, {{0x09000000, 0x1000}, 1});
  vmm::Pl031({}).Describe(tree, {{0x09010000, 0x1000}, 2});
  vmm::MarkDevice({}).Describe(tree, {{0x0c000000, 0x1000}, std::nullopt});
}

// What tests/golden/machine_4cpu.dts says.
MachineDescription FourCpus() {
  return {
      .cpu_affinities = Affinities(4),
      .memory = {{0x40000000, 512 * kMiB}},
      .reserved_memory = {{"park", {0x5fe00000, 0x4000}}},
      .gic = GicV3{.distributor = {0x08000000, 0x10000},
                   .redistributors = {{0x080a0000, 0xf60000}}},
      .console = "pl011@9000000",
      .write_devices = WriteDevices,
      .bootargs = "console=ttyAMA0 quiet",
      .initrd = Region{0x44000000, 0x123456},
      .rng_seed = {0xde, 0xad, 0xbe, 0xef},
      .kaslr_seed = 0x0123456789abcdef,
  };
}

MachineDescription WithIdleStates(uint64_t cpus) {
  MachineDescription machine = FourCpus();
  machine.cpu_affinities = Affinities(cpus);
  machine.idle_states = true;
  return machine;
}

MachineDescription WithGicV2(uint64_t cpus) {
  MachineDescription machine = FourCpus();
  machine.cpu_affinities = Affinities(cpus);
  machine.gic = GicV2{.distributor = {0x08000000, 0x10000},
                      .cpu_interface = {0x08010000, 0x10000}};
  return machine;
}

MachineDescription With512Cpus() {
  MachineDescription machine = FourCpus();
  machine.cpu_affinities = Affinities(512);
  machine.gic = GicV3{
      .distributor = {0x08000000, 0x10000},
      .redistributors = {{0x080a0000, 0xf60000}, {0x4000000000, 0x4000000}}};
  return machine;
}

std::vector<uint8_t> Built(const MachineDescription& machine) {
  absl::StatusOr<std::vector<uint8_t>> blob = BuildMachineTree(machine);
  EXPECT_TRUE(blob.ok()) << blob.status();
  return *std::move(blob);
}

std::string Refusal(const MachineDescription& machine) {
  const absl::Status status = BuildMachineTree(machine).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(MachineTreeTest, FourCpusMatchTheGoldenTree) {
  const DtcOutput golden =
      NormalizeTree(PARKVMM_SOURCE_DIR "/tests/golden/machine_4cpu.dts");
  EXPECT_EQ(golden.complaints, "");
  EXPECT_EQ(DecompileTree(Built(FourCpus())).tree, golden.tree);
}

TEST(MachineTreeTest, DtcHasNoComplaint) {
  EXPECT_EQ(DecompileTree(Built(FourCpus())).complaints, "");
  EXPECT_EQ(DecompileTree(Built(WithGicV2(8))).complaints, "");
  EXPECT_EQ(DecompileTree(Built(With512Cpus())).complaints, "");
  EXPECT_EQ(DecompileTree(Built(WithIdleStates(4))).complaints, "");
}

TEST(MachineTreeTest, CpusAreNamedByAffinity) {
  MachineDescription machine = FourCpus();
  machine.cpu_affinities = {0x0, 0x10f, 0x2100030201};
  const TreeView view(Built(machine));
  EXPECT_THAT(view.Children("/cpus"),
              ElementsAre("cpu@0", "cpu@10f", "cpu@2100030201"));
  EXPECT_THAT(view.Cells("/cpus/cpu@2100030201", "reg"),
              ElementsAre(0x21, 0x00030201));
}

TEST(MachineTreeTest, FiveHundredTwelveCpusFit) {
  const TreeView view(Built(With512Cpus()));
  EXPECT_THAT(view.Children("/cpus"), SizeIs(512));
  EXPECT_TRUE(view.Has("/cpus/cpu@1f0f"));
  EXPECT_THAT(view.Cells("/intc@8000000", "#redistributor-regions"),
              ElementsAre(2));
  EXPECT_THAT(view.Cells("/intc@8000000", "reg"),
              ElementsAre(0, 0x08000000, 0, 0x10000,   //
                          0, 0x080a0000, 0, 0xf60000,  //
                          0x40, 0x00000000, 0, 0x4000000));
}

TEST(MachineTreeTest, GicV2SaysWhichCpusTheTimerInterrupts) {
  struct Case {
    uint64_t cpus;
    uint32_t flags;
  };
  for (const Case& c :
       {Case{1, 0x108}, Case{4, 0xf08}, Case{8, 0xff08}, Case{9, 0xff08}}) {
    const TreeView view(Built(WithGicV2(c.cpus)));
    EXPECT_THAT(view.Strings("/intc@8000000", "compatible"),
                ElementsAre("arm,cortex-a15-gic"));
    EXPECT_THAT(view.Cells("/timer", "interrupts"),
                ElementsAre(1, 13, c.flags, 1, 14, c.flags, 1, 11, c.flags, 1,
                            10, c.flags))
        << c.cpus << " CPUs";
  }
}

TEST(MachineTreeTest, EveryCpuMayIdleInStandby) {
  const TreeView view(Built(WithIdleStates(3)));
  EXPECT_THAT(view.Strings("/cpus/idle-states", "entry-method"),
              ElementsAre("psci"));
  const std::string standby = "/cpus/idle-states/cpu-standby";
  EXPECT_THAT(view.Strings(standby, "compatible"),
              ElementsAre("arm,idle-state"));
  // Not a power-down, and the timer goes on: what psci-emul's answer means.
  EXPECT_THAT(view.Cells(standby, "arm,psci-suspend-param"), ElementsAre(1));
  EXPECT_FALSE(view.Has(standby, "local-timer-stop"));
  for (const char* cpu : {"/cpus/cpu@0", "/cpus/cpu@1", "/cpus/cpu@2"}) {
    EXPECT_EQ(view.Cells(cpu, "cpu-idle-states"),
              view.Cells(standby, "phandle"));
  }
}

TEST(MachineTreeTest, WhatIsNotGivenIsNotWritten) {
  MachineDescription machine = FourCpus();
  machine.reserved_memory.clear();
  machine.bootargs.clear();
  machine.initrd.reset();
  machine.rng_seed.clear();
  machine.kaslr_seed.reset();
  const TreeView view(Built(machine));
  EXPECT_FALSE(view.Has("/reserved-memory"));
  EXPECT_FALSE(view.Has("/cpus/idle-states"));
  EXPECT_FALSE(view.Has("/cpus/cpu@0", "cpu-idle-states"));
  EXPECT_TRUE(view.Has("/chosen", "stdout-path"));
  for (const char* property : {"bootargs", "linux,initrd-start",
                               "linux,initrd-end", "rng-seed", "kaslr-seed"}) {
    EXPECT_FALSE(view.Has("/chosen", property)) << property;
  }
}

TEST(MachineTreeTest, ReservedMemoryMayStayMapped) {
  MachineDescription machine = FourCpus();
  machine.reserved_memory = {{"hole", {0x50000000, 0x1000}, /*no_map=*/false}};
  const TreeView view(Built(machine));
  EXPECT_TRUE(view.Has("/reserved-memory/hole@50000000"));
  EXPECT_FALSE(view.Has("/reserved-memory/hole@50000000", "no-map"));
}

TEST(MachineTreeTest, RefusesWhatIsNoMachine) {
  MachineDescription machine = FourCpus();
  machine.memory.clear();
  EXPECT_EQ(Refusal(machine), "a machine needs memory");

  machine = FourCpus();
  machine.cpu_affinities.clear();
  EXPECT_EQ(Refusal(machine), "a machine needs at least one CPU");

  machine.cpu_affinities = {0, 0x101, 1, 0x101};
  EXPECT_EQ(Refusal(machine), "two CPUs have the affinity 0x101");

  machine.cpu_affinities = {0x80000000};  // MPIDR_EL1 unmasked.
  EXPECT_THAT(Refusal(machine), HasSubstr("0x80000000 is no CPU affinity"));
}

}  // namespace
}  // namespace fdt
