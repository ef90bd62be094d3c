// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_ARCH_BITS_H_
#define PARKVMM_VMM_ARCH_BITS_H_

#include <cstdint>

namespace vmm {

// Returns bits `high` down to `low` of `value`, as the Arm ARM writes
// value<high:low>. Not for all 64 at once.
constexpr uint64_t Bits(uint64_t value, unsigned high, unsigned low) {
  return value >> low & ((uint64_t{1} << (high - low + 1)) - 1);
}

}  // namespace vmm

#endif  // PARKVMM_VMM_ARCH_BITS_H_
