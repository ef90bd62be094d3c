// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_FDT_MACHINE_TREE_H_
#define PARKVMM_FDT_MACHINE_TREE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "fdt/tree_writer.h"

namespace fdt {

// Memory that the guest's allocator must leave alone.
struct ReservedMemory {
  std::string name;  // Of the node, without its unit address.
  Region region;
  bool no_map = true;  // Not even in the linear map.
};

struct GicV2 {
  Region distributor;
  Region cpu_interface;
};

struct GicV3 {
  Region distributor;
  std::vector<Region> redistributors;  // At least one, ascending.
};

// A device with one register window and one level-high interrupt.
struct WiredDevice {
  Region registers;
  uint32_t spi = 0;  // 0 is the GIC's INTID 32.
};

// The machine as its guest is told of it. Plain values: whoever fills it in
// has already decided where everything lies.
struct MachineDescription {
  // One per CPU in logical order: MPIDR_EL1 & 0xff00ffffff.
  std::vector<uint64_t> cpu_affinities;
  std::vector<Region> memory;
  std::vector<ReservedMemory> reserved_memory;
  std::variant<GicV2, GicV3> gic;
  WiredDevice pl011;  // The console.
  WiredDevice pl031;  // The real-time clock.
  Region mark;        // Where the guest reports how far it has come.
  // Where CPUs park (psci-emul/park_abi.h): a slot for each, in their order.
  std::optional<Region> park;
  bool idle_states = false;  // CPUs may idle by CPU_SUSPEND, in standby.
  std::string bootargs;
  std::optional<Region> initrd;
  std::vector<uint8_t> rng_seed;  // Empty: none.
  std::optional<uint64_t> kaslr_seed;
};

// The blob for `machine`, at most kMaxTreeBytes. kInvalidArgument if it has no
// CPU, no memory, or CPUs with the same or an impossible affinity. Any thread.
absl::StatusOr<std::vector<uint8_t>> BuildMachineTree(
    const MachineDescription& machine);

}  // namespace fdt

#endif  // PARKVMM_FDT_MACHINE_TREE_H_
