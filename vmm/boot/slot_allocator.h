// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_SLOT_ALLOCATOR_H_
#define PARKVMM_VMM_BOOT_SLOT_ALLOCATOR_H_

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"

namespace vmm {

// Hands out the board's MMIO slots and SPIs, each once. A device whose place
// the board fixes takes that place; the others get the lowest that is free, in
// the order in which they ask, so the same devices get the same places. Take
// the fixed ones first. One thread.
class SlotAllocator {
 public:
  // Returns `bytes` at `base`, or anywhere in kSpareSlots: there a slot begins
  // at a multiple of its size, rounded up to a power of two and to a page.
  //
  // kInvalidArgument: no bytes, or a range outside the board's devices.
  // kAlreadyExists: another slot or the GIC is there. kResourceExhausted: no
  // room is left.
  absl::StatusOr<GuestRange> TakeSlot(uint64_t bytes,
                                      std::optional<GuestAddress> base);
  // Returns `spi`, or the lowest free one from kFirstSpareSpi on. Errors as
  // above.
  absl::StatusOr<uint32_t> TakeSpi(std::optional<uint32_t> spi);

 private:
  bool IsFree(GuestRange range) const;

  std::vector<GuestRange> slots_;
  std::set<uint32_t> spis_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_SLOT_ALLOCATOR_H_
