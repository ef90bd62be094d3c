// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_PARK_DEVICE_H_
#define PARKVMM_VMM_DEVICES_PARK_DEVICE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "psci-emul/park_abi.h"
#include "psci-emul/park_slots.h"
#include "vmm/devices/mmio_device.h"

namespace vmm {

// The park device (park_abi.h): one slot for each vCPU. psci::ParkSlots decides
// what a store means; the device passes it on and tells the machine.
class ParkDevice : public MmioDevice {
 public:
  // A store to a slot, and what came of it.
  struct Report {
    int64_t ns;     // When the store arrived, before it took effect.
    uint32_t vcpu;  // Which vCPU made it.
    uint64_t slot;  // The slot's first byte, from the start of the device.
    uint64_t value;
    const psci::SlotOutcome& outcome;
  };
  // Called on the thread of the vCPU that made the store, concurrently.
  struct Listener {
    std::function<int64_t()> clock_ns;
    std::function<void(const Report&)> on_store;
  };

  // Returns the needs of a device with one slot for each vCPU.
  static constexpr DeviceNeeds Needs(uint32_t vcpus) {
    return {.name = "park", .bytes = uint64_t{vcpus} * PARK_DEVICE_STRIDE};
  }

  // `slots` outlives the device.
  ParkDevice(psci::ParkSlots& slots, Listener listener)
      : slots_(slots), listener_(std::move(listener)) {}

  absl::string_view Name() const override { return "park"; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;

 private:
  psci::ParkSlots& slots_;
  const Listener listener_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_PARK_DEVICE_H_
