// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/slot_allocator.h"

#include <algorithm>
#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

// GIC regions exist on every machine, whichever version it has.
constexpr GuestRange kGicRanges[] = {kGicDistributor, kGicV2CpuInterface,
                                     kGicV3Redistributors};

}  // namespace

bool SlotAllocator::IsFree(GuestRange range) const {
  const auto overlaps = [range](const GuestRange& other) {
    return range.Overlaps(other);
  };
  return std::none_of(slots_.begin(), slots_.end(), overlaps) &&
         std::none_of(std::begin(kGicRanges), std::end(kGicRanges), overlaps);
}

absl::StatusOr<GuestRange> SlotAllocator::TakeSlot(
    uint64_t bytes, std::optional<GuestAddress> base) {
  if (bytes == 0) {
    return absl::InvalidArgumentError("a device needs at least one register");
  }
  if (base) {
    const auto range = GuestRange::Make(*base, bytes);
    if (!range || range->last() >= kRamWindow.base()) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "%d bytes at %#x are not below RAM, where devices lie", bytes,
          base->value()));
    }
    if (!IsFree(*range)) {
      return absl::AlreadyExistsError(absl::StrFormat(
          "the %d bytes at %#x are taken", bytes, base->value()));
    }
    slots_.push_back(*range);
    return *range;
  }
  if (bytes <= kSpareSlots.size()) {
    const uint64_t step = std::max(std::bit_ceil(bytes), kPageSize);
    const uint64_t first = kSpareSlots.base().value();
    for (uint64_t at = (first + step - 1) / step * step;; at += step) {
      const GuestRange range = *GuestRange::Make(GuestAddress(at), bytes);
      if (!kSpareSlots.Contains(range)) break;
      if (!IsFree(range)) continue;
      slots_.push_back(range);
      return range;
    }
  }
  return absl::ResourceExhaustedError(absl::StrFormat(
      "no room for a device's %d bytes between %#x and %#x", bytes,
      kSpareSlots.base().value(), kSpareSlots.last().value()));
}

absl::StatusOr<uint32_t> SlotAllocator::TakeSpi(std::optional<uint32_t> spi) {
  if (spi) {
    if (*spi >= kSpis) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "SPI %d does not exist: the GIC has %d", *spi, kSpis));
    }
    if (!spis_.insert(*spi).second) {
      return absl::AlreadyExistsError(absl::StrFormat("SPI %d is taken", *spi));
    }
    return *spi;
  }
  for (uint32_t next = kFirstSpareSpi; next < kSpis; ++next) {
    if (spis_.insert(next).second) return next;
  }
  return absl::ResourceExhaustedError(
      absl::StrFormat("no SPI is left of the %d from %d on",
                      kSpis - kFirstSpareSpi, kFirstSpareSpi));
}

}  // namespace vmm
