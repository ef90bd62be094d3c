// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/mark_device.h"

#include "vmm/devices/mark_abi.h"

namespace vmm {

uint64_t MarkDevice::Read(const MmioAccess& access) {
  if (access.size == 8 && access.offset == MARK_REG_CLOCK) {
    return static_cast<uint64_t>(listener_.clock_ns());
  }
  if (access.size != 4) return 0;
  switch (access.offset) {
    case MARK_REG_MAGIC:
      return MARK_MAGIC;
    case MARK_REG_VERSION:
      return 1;
    default:
      return 0;
  }
}

AfterWrite MarkDevice::Write(const MmioAccess& access, uint64_t value) {
  if (access.size != 8) return AfterWrite::kDone;
  const Report report = {access.vcpu,
                         static_cast<uint16_t>(value & MARK_CODE_MASK),
                         value >> MARK_VALUE_SHIFT};
  if (access.offset == MARK_REG_MARK) listener_.on_mark(report);
  if (access.offset == MARK_REG_VERDICT) listener_.on_verdict(report);
  return AfterWrite::kDone;
}

void MarkDevice::Describe(fdt::TreeWriter& tree,
                          const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.String("compatible", MARK_COMPATIBLE);
    fdt::WritePlace(tree, place);
  });
}

}  // namespace vmm
