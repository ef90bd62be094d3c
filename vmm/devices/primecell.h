// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_PRIMECELL_H_
#define PARKVMM_VMM_DEVICES_PRIMECELL_H_

#include <cstdint>

namespace vmm {

// The identification registers every Arm PrimeCell ends with: four bytes of
// peripheral id, four of 0xb105f00d, one per word from 0xfe0. 0 elsewhere.
constexpr uint32_t PrimecellId(uint32_t peripheral_id, uint64_t offset) {
  constexpr uint32_t kCellId = 0xb105f00d;
  if (offset < 0xfe0 || offset > 0xffc || offset % 4 != 0) return 0;
  const auto index = static_cast<uint32_t>((offset - 0xfe0) / 4);
  const uint32_t word = index < 4 ? peripheral_id : kCellId;
  return (word >> (8 * (index % 4))) & 0xff;
}

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_PRIMECELL_H_
