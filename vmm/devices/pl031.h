// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_PL031_H_
#define PARKVMM_VMM_DEVICES_PL031_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "vmm/devices/mmio_device.h"

namespace vmm {

// Arm PL031 real-time clock (DDI 0224): the host's seconds plus an offset that
// the guest may set. No alarm: the interrupt never fires.
class Pl031 : public MmioDevice {
 public:
  static constexpr DeviceNeeds kNeeds = {.name = "pl031", .interrupt = true};

  // `now_s()`: seconds since 1970; any thread.
  explicit Pl031(std::function<int64_t()> now_s) : now_s_(std::move(now_s)) {}

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;

 private:
  const std::function<int64_t()> now_s_;
  std::atomic<uint32_t> offset_ = 0;
  std::atomic<uint32_t> match_ = 0;
  std::atomic<uint32_t> mask_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_PL031_H_
