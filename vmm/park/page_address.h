// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_PAGE_ADDRESS_H_
#define PARKVMM_VMM_PARK_PAGE_ADDRESS_H_

#include <cstdint>

#include "vmm/base/guest_address.h"
#include "vmm/boot/park_placement.h"

namespace vmm {

// Returns the address `offset` bytes into the park page at `page`.
constexpr GuestAddress At(GuestAddress page, uint64_t offset) {
  return GuestAddress(page.value() + offset);
}

// Returns the park page that `address` is in.
constexpr GuestAddress PageOf(GuestAddress address) {
  return GuestAddress(address.value() & ~uint64_t{kParkUnit - 1});
}

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_PAGE_ADDRESS_H_
