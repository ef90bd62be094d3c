// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/park_device.h"

#include <variant>

namespace vmm {

uint64_t ParkDevice::Read(const MmioAccess& access) {
  return slots_.Read(access.offset, access.size);
}

AfterWrite ParkDevice::Write(const MmioAccess& access, uint64_t value) {
  const int64_t now = listener_.clock_ns();
  const psci::SlotOutcome outcome = slots_.Write(
      psci::VcpuId{access.vcpu}, access.offset, access.size, value);
  listener_.on_store({now, access.vcpu,
                      access.offset & ~uint64_t{PARK_DEVICE_STRIDE - 1}, value,
                      outcome});
  return std::holds_alternative<psci::ParkSelf>(outcome) ? AfterWrite::kPark
                                                         : AfterWrite::kDone;
}

void ParkDevice::Describe(fdt::TreeWriter& tree,
                          const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.String("compatible", PARK_DEVICE_COMPATIBLE);
    fdt::WritePlace(tree, place);
  });
}

}  // namespace vmm
