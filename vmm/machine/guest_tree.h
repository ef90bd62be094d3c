// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_GUEST_TREE_H_
#define PARKVMM_VMM_MACHINE_GUEST_TREE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vmm/devices/mmio_device.h"
#include "vmm/machine/plan.h"

namespace vmm {

// Returns the device tree of a planned machine. `mpidrs` are the affinities of
// its vCPUs, and `devices` are those of the plan, in its order.
absl::StatusOr<std::vector<uint8_t>> BuildGuestTree(
    const MachineSpec& spec, const MachinePlan& plan, GicVersion gic,
    const std::vector<uint64_t>& mpidrs,
    absl::Span<const std::unique_ptr<MmioDevice>> devices);

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_GUEST_TREE_H_
