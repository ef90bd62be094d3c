// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/park_placement.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "vmm/base/status_macros.h"
#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

constexpr uint64_t kLargestShare = 8;    // Of RAM, for CPUs that are not there.
constexpr uint64_t kTolerableShare = 4;  // For those that are.

constexpr uint64_t RoundUp(uint64_t bytes) {
  return (bytes + kParkGuard - 1) / kParkGuard * kParkGuard;
}

ParkPlacement PlacementOf(uint64_t base, uint64_t length, uint64_t stride) {
  return {*GuestRange::Make(GuestAddress(base - kParkGuard),
                            length + 2 * kParkGuard),
          *GuestRange::Make(GuestAddress(base), length), stride};
}

absl::StatusOr<ParkPlacement> PlaceAt(GuestRange ram, uint64_t base,
                                      uint64_t page, uint64_t wanted,
                                      uint64_t needed) {
  if (base % page != 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "--park-base %#x is not a multiple of the guest's page size, %d KiB",
        base, page >> 10));
  }
  const uint64_t end = ram.last().value() + 1;
  if (base < ram.base().value() + kParkGuard || base >= end) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "--park-base %#x is not in RAM, %#x to %#x, or leaves no guard of %d "
        "KiB before it",
        base, ram.base().value(), end, kParkGuard >> 10));
  }
  const uint64_t room = end - base;
  if (room >= wanted + kParkGuard) return PlacementOf(base, wanted, page);
  if (room >= needed + kParkGuard) return PlacementOf(base, needed, page);
  return absl::InvalidArgumentError(absl::StrFormat(
      "--park-base %#x leaves %d KiB to the end of RAM, too little for a page "
      "for each CPU and a guard: %d KiB",
      base, room >> 10, (needed + kParkGuard) >> 10));
}

}  // namespace

absl::StatusOr<ParkPlacement> PlacePark(GuestRange ram, const ParkWish& wish) {
  const uint64_t page = std::max<uint64_t>(wish.guest_page, kParkUnit);
  const uint64_t all = RoundUp(kMaxCpus * page);
  const uint64_t needed = RoundUp(wish.vcpus * page);
  const uint64_t wanted = all <= ram.size() / kLargestShare ? all : needed;
  if (wish.base) return PlaceAt(ram, wish.base->value(), page, wanted, needed);
  if (wanted + 2 * kParkGuard > ram.size() / kTolerableShare) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "the park pages of %d CPUs are more than a quarter of %d MiB of guest "
        "RAM; give it more with --memory, or say --park off",
        wish.vcpus, ram.size() >> 20));
  }
  return PlacementOf(ram.last().value() + 1 - kParkGuard - wanted, wanted,
                     page);
}

absl::Status CheckApart(const ParkPlacement& park, const Placement& boot,
                        uint64_t kernel_bytes) {
  const auto check = [&](std::optional<GuestRange> range,
                         absl::string_view name) {
    if (!range || !park.window.Overlaps(*range)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrFormat(
        "the park pages at %#x and their guards, %#x to %#x, overlap the %s, "
        "%#x to %#x; choose another --park-base",
        park.pages.base().value(), park.window.base().value(),
        park.window.last().value() + 1, name, range->base().value(),
        range->last().value() + 1));
  };
  RETURN_IF_ERROR(check(GuestRange::Make(boot.kernel, kernel_bytes), "kernel"));
  RETURN_IF_ERROR(check(boot.dtb, "devicetree"));
  return check(boot.initrd, "initrd");
}

}  // namespace vmm
