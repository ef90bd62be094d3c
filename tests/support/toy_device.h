// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_TOY_DEVICE_H_
#define PARKVMM_TESTS_SUPPORT_TOY_DEVICE_H_

#include <atomic>
#include <cstdint>

#include "vmm/devices/mmio_device.h"

namespace vmm {

// A device that is one file: a register that holds what is stored in it.
class ToyDevice : public MmioDevice {
 public:
  static constexpr DeviceNeeds kNeeds = {
      .name = "toy", .bytes = 0x200, .interrupt = true};

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess&) override { return value_; }
  AfterWrite Write(const MmioAccess&, uint64_t value) override {
    value_ = value;
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
  std::atomic<uint64_t> value_ = 0x70;
};

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_TOY_DEVICE_H_
