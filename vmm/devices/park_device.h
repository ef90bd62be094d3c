// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_PARK_DEVICE_H_
#define PARKVMM_VMM_DEVICES_PARK_DEVICE_H_

#include <cstdint>

#include "psci-emul/park_abi.h"
#include "vmm/devices/mmio_device.h"

namespace vmm {

// The park device (park_abi.h) as the guest finds it in the device tree. The
// exit dispatcher answers accesses to it before they reach the bus, so Read()
// and Write() are never called.
class ParkDevice : public MmioDevice {
 public:
  // Returns the needs of a device with one slot for each vCPU.
  static constexpr DeviceNeeds Needs(uint32_t vcpus) {
    return {.name = "park", .bytes = uint64_t{vcpus} * PARK_DEVICE_STRIDE};
  }

  absl::string_view Name() const override { return "park"; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_PARK_DEVICE_H_
