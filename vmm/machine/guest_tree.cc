// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/guest_tree.h"

#include <optional>
#include <random>
#include <string>
#include <variant>

#include "fdt/machine_tree.h"

namespace vmm {
namespace {

fdt::Region RegionOf(const GuestRange& range) {
  return {range.base().value(), range.size()};
}

std::variant<fdt::GicV2, fdt::GicV3> DescribeGic(GicVersion version,
                                                 const MachinePlan& plan) {
  const fdt::Region distributor = RegionOf(plan.gic_distributor);
  if (version == GicVersion::kV2) {
    return fdt::GicV2{distributor, RegionOf(plan.gic_cpu_interface)};
  }
  fdt::GicV3 gic = {distributor, {}};
  for (const GuestRange& region : plan.gic_redistributors) {
    gic.redistributors.push_back(RegionOf(region));
  }
  return gic;
}

void AddSeeds(std::optional<uint64_t> seed, fdt::MachineDescription& machine) {
  std::random_device host;
  std::mt19937_64 random(seed.value_or(uint64_t{}));
  const auto next = [&] {
    return seed ? random() : uint64_t{host()} << 32 | host();
  };
  machine.kaslr_seed = next();
  machine.rng_seed.resize(64);
  for (uint8_t& byte : machine.rng_seed) byte = static_cast<uint8_t>(next());
}

// Returns the name of the console's node.
std::string ConsoleNode(absl::Span<const PlacedDevice> devices) {
  for (const PlacedDevice& device : devices) {
    if (!device.is_console) continue;
    return fdt::UnitName(device.name, device.registers.base().value());
  }
  return "";
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> BuildGuestTree(
    const MachineSpec& spec, const MachinePlan& plan, GicVersion gic,
    const std::vector<uint64_t>& mpidrs,
    absl::Span<const std::unique_ptr<MmioDevice>> devices) {
  fdt::MachineDescription machine = {
      .cpu_affinities = mpidrs,
      .memory = {RegionOf(plan.ram)},
      .gic = DescribeGic(gic, plan),
      .console = ConsoleNode(plan.devices),
      .write_devices =
          [&](fdt::TreeWriter& tree) {
            for (size_t i = 0; i < devices.size(); ++i) {
              devices[i]->Describe(tree, plan.devices[i].place());
            }
          },
      .idle_states = spec.idle_states,
      .bootargs = plan.command_line,
  };
  if (plan.park) {
    machine.reserved_memory.push_back({.name = "park",
                                       .region = RegionOf(plan.park->window),
                                       .no_map = spec.park_no_map});
  }
  if (plan.boot.initrd) machine.initrd = RegionOf(*plan.boot.initrd);
  AddSeeds(spec.seed, machine);
  return fdt::BuildMachineTree(machine);
}

}  // namespace vmm
