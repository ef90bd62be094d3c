// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_MMIO_BUS_H_
#define PARKVMM_VMM_DEVICES_MMIO_BUS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "vmm/base/guest_address.h"
#include "vmm/devices/mmio_device.h"

namespace vmm {

// Routes an access to the device that owns its whole range.
//
// One thread calls Attach() while the machine is built. The map never changes
// afterwards, so every vCPU thread looks up without a lock. The bus does not
// own the devices; the machine does.
class MmioBus {
 public:
  // kAlreadyExists if `range` overlaps an attached one.
  absl::Status Attach(GuestRange range, MmioDevice& device);

  // Returns what the device answers, or nullopt if no device owns all of the
  // access: that is the guest's mistake, which the caller answers with 0 and
  // counts.
  std::optional<uint64_t> Read(uint32_t vcpu, GuestAddress address,
                               unsigned size) const;
  // Returns what the vCPU does next; nullopt as above.
  [[nodiscard]] std::optional<AfterWrite> Write(uint32_t vcpu,
                                                GuestAddress address,
                                                unsigned size,
                                                uint64_t value) const;

 private:
  struct Slot {
    GuestAddress last;  // Of the range: all that a scan compares.
    GuestRange range;
    MmioDevice* device;  // Not owned.
  };
  const Slot* Find(GuestAddress address, unsigned size) const;

  std::vector<Slot> slots_;  // Sorted; a handful, so a scan is fastest.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_MMIO_BUS_H_
