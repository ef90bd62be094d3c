// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/placement.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "fdt/tree_writer.h"
#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTwoMiB = 2 * kMiB;
// How much of RAM is left to a kernel of unknown size.
constexpr uint64_t kMaxUnknownSize = 128 * kMiB;
// Enough for the devicetree of 512 CPUs and a long command line. A kernel of
// unknown size has it below, in what its text offset leaves.
constexpr uint64_t kLowDtbBytes = kMiB / 2;
// Kernel and initrd lie within this much, from a 1 GiB boundary on.
constexpr uint64_t kReach = 32 * kGiB;

static_assert(kRamWindow.last() < GuestAddress(uint64_t{1} << 48),
              "the kernel lies within 48 bits");
static_assert(fdt::kMaxTreeBytes <= kTwoMiB,
              "a 2 MiB-aligned devicetree crosses no 2 MiB boundary");

constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value - value % alignment;
}

constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return AlignDown(value + alignment - 1, alignment);
}

// Everything in bytes from RAM's base on.
struct Layout {
  uint64_t kernel;
  uint64_t dtb;
  uint64_t dtb_bytes;
  uint64_t initrd;
  uint64_t end;
};

Layout LayOut(uint64_t ram_size, const KernelImage& kernel,
              uint64_t initrd_size) {
  Layout layout = {};
  layout.kernel = kernel.text_offset;
  uint64_t free =
      AlignUp(layout.kernel +
                  std::max<uint64_t>(kernel.image_size, kernel.content.size()),
              kTwoMiB);
  if (kernel.image_size == 0) {
    // Its bss and stack may follow it: leave as much as there is.
    free = std::max(
        free, AlignDown(std::min(ram_size / 2, kMaxUnknownSize), kTwoMiB));
  }
  if (kernel.image_size == 0 && layout.kernel >= kLowDtbBytes) {
    layout.dtb = 0;
    layout.dtb_bytes = kLowDtbBytes;
  } else {
    layout.dtb = free;
    layout.dtb_bytes = fdt::kMaxTreeBytes;
    free += fdt::kMaxTreeBytes;
  }
  layout.initrd = AlignUp(free, kPageSize);
  layout.end = layout.initrd + initrd_size;
  return layout;
}

// The least RAM beyond `ram_size` bytes, in MiB, in which all of it fits.
uint64_t MiBNeeded(uint64_t ram_size, const KernelImage& kernel,
                   uint64_t initrd_size) {
  uint64_t needed = ram_size;
  uint64_t end = LayOut(needed, kernel, initrd_size).end;
  // More RAM can move the devicetree up, but by half as much at most.
  while (end > needed) {
    needed = AlignUp(end, kMiB);
    end = LayOut(needed, kernel, initrd_size).end;
  }
  return needed / kMiB;
}

}  // namespace

absl::StatusOr<Placement> PlaceBoot(GuestRange ram, const KernelImage& kernel,
                                    uint64_t initrd_size) {
  const uint64_t base = ram.base().value();
  const uint64_t reach_end = AlignDown(base, kGiB) + kReach;
  const Layout layout =
      LayOut(ram.size(), kernel, std::min(initrd_size, kReach));
  if (initrd_size != 0 && base + layout.end > reach_end) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "an initrd of %d MiB is too large: arm64 kernels reach 32 GiB",
        initrd_size / kMiB));
  }
  if (layout.end > ram.size()) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "kernel, devicetree and initrd do not fit in %d MiB of guest RAM; "
        "give it at least %d MiB with --memory",
        ram.size() / kMiB, MiBNeeded(ram.size(), kernel, initrd_size)));
  }
  return Placement{.kernel = GuestAddress(base + layout.kernel),
                   .dtb = *GuestRange::Make(GuestAddress(base + layout.dtb),
                                            layout.dtb_bytes),
                   .initrd = GuestRange::Make(
                       GuestAddress(base + layout.initrd), initrd_size)};
}

}  // namespace vmm
