// SPDX-License-Identifier: Apache-2.0
#include "fdt/machine_tree.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "fdt/device_node.h"
#include "psci-emul/psci_abi.h"

namespace fdt {
namespace {

constexpr uint64_t kAffinityMask = 0xff00ffffff;

constexpr uint32_t kGicPhandle = 1;
constexpr uint32_t kStandbyPhandle = 3;
constexpr uint32_t kClockHz = 24'000'000;

// Cells of an interrupt specifier (arm,gic.yaml, arm,gic-v3.yaml).
constexpr uint32_t kPpi = 1;
constexpr uint32_t kLevelLow = 8;

absl::Status CheckAffinities(std::vector<uint64_t> affinities) {
  if (affinities.empty()) {
    return absl::InvalidArgumentError("a machine needs at least one CPU");
  }
  for (const uint64_t affinity : affinities) {
    if ((affinity & ~kAffinityMask) != 0) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%#x is no CPU affinity: it has bits outside %#x",
                          affinity, kAffinityMask));
    }
  }
  std::sort(affinities.begin(), affinities.end());
  const auto twin = std::adjacent_find(affinities.begin(), affinities.end());
  if (twin != affinities.end()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("two CPUs have the affinity %#x", *twin));
  }
  return absl::OkStatus();
}

absl::Status Check(const MachineDescription& machine) {
  if (machine.memory.empty()) {
    return absl::InvalidArgumentError("a machine needs memory");
  }
  return CheckAffinities(machine.cpu_affinities);
}

void WriteAddressing(TreeWriter& tree) {
  tree.Cells("#address-cells", {2});
  tree.Cells("#size-cells", {2});
}

void WriteChosen(TreeWriter& tree, const MachineDescription& machine,
                 absl::string_view console) {
  tree.Node("chosen", [&] {
    tree.String("stdout-path", console);
    if (!machine.bootargs.empty()) tree.String("bootargs", machine.bootargs);
    if (machine.initrd) {
      const Region& initrd = *machine.initrd;
      tree.U64("linux,initrd-start", initrd.base);
      tree.U64("linux,initrd-end", initrd.base + initrd.size);
    }
    if (!machine.rng_seed.empty()) tree.Bytes("rng-seed", machine.rng_seed);
    if (machine.kaslr_seed) tree.U64("kaslr-seed", *machine.kaslr_seed);
  });
}

// Standby only: Linux takes a power-down that was answered with standby, as
// DEN0022 allows, for a failure. No local-timer-stop: the timer wakes its CPU.
void WriteIdleStates(TreeWriter& tree) {
  tree.Node("idle-states", [&] {
    tree.String("entry-method", "psci");
    tree.Node("cpu-standby", [&] {
      tree.Cells("phandle", {kStandbyPhandle});
      tree.String("compatible", "arm,idle-state");
      tree.String("idle-state-name", "standby");
      tree.Cells("arm,psci-suspend-param", {PSCI_POWER_STATE_STANDBY});
      // An exit to the VMM each; on the emulated host 7 to 20 us.
      tree.Cells("entry-latency-us", {20});
      tree.Cells("exit-latency-us", {20});
      tree.Cells("min-residency-us", {200});
    });
  });
}

void WriteCpus(TreeWriter& tree, const MachineDescription& machine) {
  tree.Node("cpus", [&] {
    tree.Cells("#address-cells", {2});
    tree.Cells("#size-cells", {0});
    for (const uint64_t affinity : machine.cpu_affinities) {
      tree.Node(UnitName("cpu", affinity), [&] {
        tree.String("device_type", "cpu");
        tree.String("compatible", "arm,armv8");
        tree.U64("reg", affinity);
        tree.String("enable-method", "psci");
        if (machine.idle_states) {
          tree.Cells("cpu-idle-states", {kStandbyPhandle});
        }
      });
    }
    if (machine.idle_states) WriteIdleStates(tree);
  });
}

void WriteMemory(TreeWriter& tree, const std::vector<Region>& memory) {
  for (const Region& region : memory) {
    tree.Node(UnitName("memory", region.base), [&] {
      tree.String("device_type", "memory");
      tree.Reg({region});
    });
  }
}

void WriteReservedMemory(TreeWriter& tree,
                         const std::vector<ReservedMemory>& reserved) {
  if (reserved.empty()) return;
  tree.Node("reserved-memory", [&] {
    WriteAddressing(tree);
    tree.Flag("ranges");
    for (const ReservedMemory& memory : reserved) {
      tree.Node(UnitName(memory.name, memory.region.base), [&] {
        tree.Reg({memory.region});
        if (memory.no_map) tree.Flag("no-map");
      });
    }
  });
}

void WriteInterruptController(TreeWriter& tree, const Region& distributor,
                              absl::FunctionRef<void()> rest) {
  tree.Node(UnitName("intc", distributor.base), [&] {
    tree.Cells("phandle", {kGicPhandle});
    tree.Flag("interrupt-controller");
    tree.Cells("#interrupt-cells", {3});
    tree.Cells("#address-cells", {0});
    rest();
  });
}

void WriteGic(TreeWriter& tree, const GicV2& gic) {
  WriteInterruptController(tree, gic.distributor, [&] {
    tree.String("compatible", "arm,cortex-a15-gic");
    tree.Reg({gic.distributor, gic.cpu_interface});
  });
}

void WriteGic(TreeWriter& tree, const GicV3& gic) {
  std::vector<Region> regions = {gic.distributor};
  regions.insert(regions.end(), gic.redistributors.begin(),
                 gic.redistributors.end());
  WriteInterruptController(tree, gic.distributor, [&] {
    tree.String("compatible", "arm,gic-v3");
    tree.Cells("#redistributor-regions",
               {static_cast<uint32_t>(gic.redistributors.size())});
    tree.Reg(regions);
  });
}

// GICv2 names the CPUs a PPI goes to in bits 15:8; GICv3 has no such field.
uint32_t PpiFlags(const MachineDescription& machine) {
  if (std::holds_alternative<GicV3>(machine.gic)) return kLevelLow;
  const size_t cpus = std::min<size_t>(machine.cpu_affinities.size(), 8);
  return ((1u << cpus) - 1) << 8 | kLevelLow;
}

void WriteTimer(TreeWriter& tree, uint32_t ppi_flags) {
  tree.Node("timer", [&] {
    tree.Strings("compatible", {"arm,armv8-timer", "arm,armv7-timer"});
    // Secure physical, physical, virtual, hypervisor.
    tree.Cells("interrupts", {kPpi, 13, ppi_flags, kPpi, 14, ppi_flags,  //
                              kPpi, 11, ppi_flags, kPpi, 10, ppi_flags});
    tree.Flag("always-on");
  });
}

void WritePsci(TreeWriter& tree) {
  tree.Node("psci", [&] {
    tree.Strings("compatible", {"arm,psci-1.0", "arm,psci-0.2", "arm,psci"});
    tree.String("method", "hvc");
  });
}

void WriteClock(TreeWriter& tree) {
  tree.Node("apb-pclk", [&] {
    tree.Cells("phandle", {kClockPhandle});
    tree.String("compatible", "fixed-clock");
    tree.Cells("#clock-cells", {0});
    tree.Cells("clock-frequency", {kClockHz});
    tree.String("clock-output-names", "clk24mhz");
  });
}

void WriteRoot(TreeWriter& tree, const MachineDescription& machine) {
  const std::string console = absl::StrCat("/", machine.console);
  tree.Node("", [&] {
    tree.Strings("compatible", {"parkvmm,virt", "linux,dummy-virt"});
    tree.String("model", "parkvmm");
    tree.Cells("interrupt-parent", {kGicPhandle});
    WriteAddressing(tree);
    tree.Node("aliases", [&] { tree.String("serial0", console); });
    WriteChosen(tree, machine, console);
    WriteCpus(tree, machine);
    WriteMemory(tree, machine.memory);
    WriteReservedMemory(tree, machine.reserved_memory);
    std::visit([&](const auto& gic) { WriteGic(tree, gic); }, machine.gic);
    WriteTimer(tree, PpiFlags(machine));
    WritePsci(tree);
    WriteClock(tree);
    if (machine.write_devices) machine.write_devices(tree);
  });
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> BuildMachineTree(
    const MachineDescription& machine) {
  if (absl::Status status = Check(machine); !status.ok()) return status;
  TreeWriter tree;
  WriteRoot(tree, machine);
  return std::move(tree).Finish();
}

}  // namespace fdt
