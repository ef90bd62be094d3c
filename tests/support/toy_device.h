// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_TOY_DEVICE_H_
#define PARKVMM_TESTS_SUPPORT_TOY_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "vmm/devices/mmio_device.h"
#include "vmm/machine/device_list.h"

namespace vmm {

// A device that is one file: a register that holds what is stored in it, and an
// interrupt that follows bit 0.
class ToyDevice : public MmioDevice {
 public:
  explicit ToyDevice(std::function<void(bool)> set_interrupt)
      : set_interrupt_(std::move(set_interrupt)) {}

  static constexpr DeviceNeeds kNeeds = {
      .name = "toy", .bytes = 0x200, .interrupt = true};

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess&) override { return value_; }
  AfterWrite Write(const MmioAccess&, uint64_t value) override {
    value_ = value;
    set_interrupt_((value & 1) != 0);
    return AfterWrite::kDone;
  }
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override {
    tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
      tree.String("compatible", "parkvmm,toy");
      fdt::WritePlace(tree, place);
    });
  }

 private:
  const std::function<void(bool)> set_interrupt_;
  std::atomic<uint64_t> value_ = 0;
};

inline std::unique_ptr<MmioDevice> MakeToyDevice(const DeviceDeps& deps) {
  return std::make_unique<ToyDevice>(deps.set_interrupt);
}

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_TOY_DEVICE_H_
