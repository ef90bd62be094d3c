// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_PLAN_H_
#define PARKVMM_VMM_MACHINE_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"
#include "psci-emul/park_slots.h"
#include "vmm/base/guest_address.h"
#include "vmm/boot/park_placement.h"
#include "vmm/boot/placement.h"
#include "vmm/machine/device_list.h"
#include "vmm/machine/machine_spec.h"

namespace vmm {

// Where everything lies in one machine, and what its kernel is told. A value:
// the machine is built from it, --dry-run prints it, tests compare it.
struct MachinePlan {
  uint32_t vcpus;
  GuestRange ram;
  GuestAddress last_address;  // The highest one that the guest may use.
  GuestRange gic_distributor;
  GuestRange gic_cpu_interface;                // Of a GICv2.
  std::vector<GuestRange> gic_redistributors;  // Of a GICv3: one or two.
  std::vector<PlacedDevice> devices;           // In the device tree's order.
  GuestRange kernel;                           // Its bss included.
  Placement boot;
  std::optional<ParkPlacement> park;  // nullopt without park pages.
  std::string command_line;           // The user's, and what the VMM adds.
};

// Returns the plan of `spec` with the devices that such a machine has, or with
// these. Pure: the same spec gives the same plan.
//
// kInvalidArgument or kResourceExhausted, in one sentence with the remedy, for
// a machine that no host could run.
absl::StatusOr<MachinePlan> Plan(const MachineSpec& spec);
absl::StatusOr<MachinePlan> Plan(const MachineSpec& spec,
                                 absl::Span<const DeviceEntry> devices);

// Returns why a parked CPU must not start at `entry`, or nullopt if it may. The
// park pages and their guards are RAM, but no place to execute. `plan` has park
// pages.
std::optional<psci::ParkFault> JudgeParkEntry(const MachinePlan& plan,
                                              uint64_t entry);

// Returns the plan with addresses as hexadecimal strings.
nlohmann::json ToJson(const MachinePlan& plan);

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_PLAN_H_
