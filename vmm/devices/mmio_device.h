// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_MMIO_DEVICE_H_
#define PARKVMM_VMM_DEVICES_MMIO_DEVICE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace vmm {

// One guest access, as the device sees it. `vcpu` made it.
struct MmioAccess {
  uint32_t vcpu;
  uint64_t offset;  // From the start of the device's range.
  unsigned size;    // Bytes: 1, 2, 4 or 8.
};

// A device behind a trapped range. Called from any vCPU thread, concurrently:
// implementations synchronise themselves. The guest is hostile: every offset,
// size and value can come, and each has an answer (usually 0, or nothing).
class MmioDevice {
 public:
  virtual ~MmioDevice() = default;
  virtual absl::string_view Name() const = 0;
  // The value in the low `size` bytes.
  virtual uint64_t Read(const MmioAccess& access) = 0;
  virtual void Write(const MmioAccess& access, uint64_t value) = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_MMIO_DEVICE_H_
