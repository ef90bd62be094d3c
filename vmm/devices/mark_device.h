// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_MARK_DEVICE_H_
#define PARKVMM_VMM_DEVICES_MARK_DEVICE_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "vmm/devices/mmio_device.h"

namespace vmm {

// The mark/verdict device (mark_abi.h). Only whole 64-bit stores to a register
// count; anything else is ignored.
class MarkDevice : public MmioDevice {
 public:
  static constexpr DeviceNeeds kNeeds = {.name = "mark"};

  struct Report {
    uint32_t vcpu;
    uint16_t code;
    uint64_t value;  // 48 bits.
  };
  // Called on the vCPU's thread that made the store, concurrently.
  struct Listener {
    std::function<int64_t()> clock_ns;
    std::function<void(const Report&)> on_mark;
    std::function<void(const Report&)> on_verdict;
  };

  explicit MarkDevice(Listener listener) : listener_(std::move(listener)) {}

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;

 private:
  const Listener listener_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_MARK_DEVICE_H_
