// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_STREAM_DEVICE_H_
#define PARKVMM_VMM_DEVICES_STREAM_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/types/span.h"
#include "vmm/devices/mmio_device.h"

namespace vmm {

// The stream device (stream_abi.h). Only whole stores of a register's own size
// count; anything else is ignored.
class StreamDevice : public MmioDevice {
 public:
  static constexpr DeviceNeeds kNeeds = {.name = "stream"};

  // Called on the vCPU's thread that made the access, concurrently.
  struct Host {
    // Takes no more than there is room for.
    std::function<void(absl::Span<const uint8_t>)> transmit;
    std::function<size_t()> room;
    // What was taken is to be read.
    std::function<void()> end;
  };

  explicit StreamDevice(Host host) : host_(std::move(host)) {}

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;

 private:
  const Host host_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_STREAM_DEVICE_H_
