// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/park_device.h"

namespace vmm {

uint64_t ParkDevice::Read(const MmioAccess&) { return 0; }

AfterWrite ParkDevice::Write(const MmioAccess&, uint64_t) {
  return AfterWrite::kDone;
}

void ParkDevice::Describe(fdt::TreeWriter& tree,
                          const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.String("compatible", PARK_DEVICE_COMPATIBLE);
    fdt::WritePlace(tree, place);
  });
}

}  // namespace vmm
