// SPDX-License-Identifier: Apache-2.0
// What the nodes of devices have in common.
#ifndef PARKVMM_FDT_DEVICE_NODE_H_
#define PARKVMM_FDT_DEVICE_NODE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "fdt/tree_writer.h"

namespace fdt {

// The fixed 24 MHz clock of the PrimeCell devices (the node "apb-pclk").
inline constexpr uint32_t kClockPhandle = 2;

// Where one device lies, and the interrupt it raises.
struct DevicePlace {
  Region registers;
  std::optional<uint32_t> spi;  // 0 is the GIC's INTID 32. nullopt: none.
};

// Returns "NAME@ADDRESS", the name of a node whose registers begin there.
std::string UnitName(absl::string_view name, uint64_t address);

// Writes `reg` and, if the device has an interrupt, `interrupts`: one SPI,
// active high, by level.
void WritePlace(TreeWriter& tree, const DevicePlace& place);

}  // namespace fdt

#endif  // PARKVMM_FDT_DEVICE_NODE_H_
