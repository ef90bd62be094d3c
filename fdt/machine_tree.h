// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_FDT_MACHINE_TREE_H_
#define PARKVMM_FDT_MACHINE_TREE_H_

#include <cstdint>
#include <functional>
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

// The machine as its guest sees it. The caller has already decided where
// everything lies; devices write their own nodes.
struct MachineDescription {
  // One per CPU in logical order: MPIDR_EL1 & 0xff00ffffff.
  std::vector<uint64_t> cpu_affinities;
  std::vector<Region> memory;
  std::vector<ReservedMemory> reserved_memory;
  std::variant<GicV2, GicV3> gic;
  std::string console;  // The name of its node, such as "pl011@9000000".
  // Writes the devices' nodes, as children of the root. Empty: none.
  std::function<void(TreeWriter&)> write_devices;
  bool idle_states = false;  // CPUs may idle by CPU_SUSPEND, in standby.
  std::string bootargs;
  std::optional<Region> initrd;
  std::vector<uint8_t> rng_seed;  // Empty: none.
  std::optional<uint64_t> kaslr_seed;
};

// Returns the blob for `machine`, at most kMaxTreeBytes. kInvalidArgument if it
// has no CPU, no memory, or CPUs with the same or an impossible affinity. Any
// thread.
absl::StatusOr<std::vector<uint8_t>> BuildMachineTree(
    const MachineDescription& machine);

}  // namespace fdt

#endif  // PARKVMM_FDT_MACHINE_TREE_H_
