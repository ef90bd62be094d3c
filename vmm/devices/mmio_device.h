// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_MMIO_DEVICE_H_
#define PARKVMM_VMM_DEVICES_MMIO_DEVICE_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "fdt/device_node.h"
#include "fdt/tree_writer.h"

namespace vmm {

// One guest access, as the device sees it.
struct MmioAccess {
  uint32_t vcpu;    // Which vCPU made it.
  uint64_t offset;  // From the start of the device's range.
  unsigned size;    // Bytes: 1, 2, 4 or 8.
};

// What a device needs from the board before it can exist.
struct DeviceNeeds {
  absl::string_view name;   // Of its node in the device tree, and in the plan.
  uint64_t bytes = 0x1000;  // Of registers.
  bool interrupt = false;   // One SPI.
};

// What the vCPU that made a write does next.
enum class AfterWrite {
  kDone,  // It returns to the guest.
  kPark,  // It leaves the guest until another CPU starts it.
};

// A device behind a trapped range of addresses. The machine owns it. Every vCPU
// thread may call Read() and Write() at any time, so implementations
// synchronise themselves. The guest is hostile: a device answers every offset,
// size and value, usually with 0 or by doing nothing.
class MmioDevice {
 public:
  virtual ~MmioDevice() = default;
  virtual absl::string_view Name() const = 0;
  // Returns the value in the low `size` bytes.
  virtual uint64_t Read(const MmioAccess& access) = 0;
  virtual AfterWrite Write(const MmioAccess& access, uint64_t value) = 0;
  // Writes the device's node, which names `place`.
  virtual void Describe(fdt::TreeWriter& tree,
                        const fdt::DevicePlace& place) const = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_MMIO_DEVICE_H_
