// SPDX-License-Identifier: Apache-2.0
#include "fdt/device_node.h"

#include "absl/strings/str_format.h"

namespace fdt {
namespace {

// Cells of an interrupt specifier (arm,gic.yaml, arm,gic-v3.yaml).
constexpr uint32_t kSpi = 0;
constexpr uint32_t kLevelHigh = 4;

}  // namespace

std::string UnitName(absl::string_view name, uint64_t address) {
  return absl::StrFormat("%s@%x", name, address);
}

void WritePlace(TreeWriter& tree, const DevicePlace& place) {
  tree.Reg({place.registers});
  if (place.spi) tree.Cells("interrupts", {kSpi, *place.spi, kLevelHigh});
}

}  // namespace fdt
