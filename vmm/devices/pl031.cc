// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pl031.h"

#include "vmm/devices/primecell.h"

namespace vmm {
namespace {

enum Register : uint64_t {
  kData = 0x00,
  kMatch = 0x04,
  kLoad = 0x08,
  kControl = 0x0c,
  kInterruptMask = 0x10,
};
constexpr uint32_t kPeripheralId = 0x00041031;

}  // namespace

uint64_t Pl031::Read(const MmioAccess& access) {
  switch (access.offset) {
    case kData:
    case kLoad:
      return static_cast<uint32_t>(now_s_()) + offset_;
    case kMatch:
      return match_;
    case kControl:
      return 1;  // Always counting.
    case kInterruptMask:
      return mask_;
    default:
      return PrimecellId(kPeripheralId, access.offset);
  }
}

AfterWrite Pl031::Write(const MmioAccess& access, uint64_t value) {
  const auto word = static_cast<uint32_t>(value);
  switch (access.offset) {
    case kLoad:
      offset_ = word - static_cast<uint32_t>(now_s_());
      break;
    case kMatch:
      match_ = word;
      break;
    case kInterruptMask:
      mask_ = word & 1;
      break;
    default:
      break;
  }
  return AfterWrite::kDone;
}

void Pl031::Describe(fdt::TreeWriter& tree,
                     const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.Strings("compatible", {"arm,pl031", "arm,primecell"});
    fdt::WritePlace(tree, place);
    tree.Cells("clocks", {fdt::kClockPhandle});
    tree.String("clock-names", "apb_pclk");
  });
}

}  // namespace vmm
