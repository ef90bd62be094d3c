// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/stream_device.h"

#include <array>

#include "vmm/devices/stream_abi.h"

namespace vmm {

uint64_t StreamDevice::Read(const MmioAccess& access) {
  if (access.size == 8 && access.offset == STREAM_REG_ROOM) {
    return host_.room();
  }
  if (access.size != 4) return 0;
  switch (access.offset) {
    case STREAM_REG_MAGIC:
      return STREAM_MAGIC;
    case STREAM_REG_VERSION:
      return 1;
    default:
      return 0;
  }
}

AfterWrite StreamDevice::Write(const MmioAccess& access, uint64_t value) {
  if (access.offset == STREAM_REG_END && access.size == 4) host_.end();
  const bool is_word = access.offset == STREAM_REG_WORD && access.size == 8;
  const bool is_byte = access.offset == STREAM_REG_BYTE && access.size == 1;
  if (!is_word && !is_byte) return AfterWrite::kDone;
  std::array<uint8_t, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  }
  host_.transmit(absl::MakeConstSpan(bytes).first(access.size));
  return AfterWrite::kDone;
}

void StreamDevice::Describe(fdt::TreeWriter& tree,
                            const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.String("compatible", STREAM_COMPATIBLE);
    fdt::WritePlace(tree, place);
  });
}

}  // namespace vmm
