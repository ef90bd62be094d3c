// SPDX-License-Identifier: Apache-2.0
// Where everything lies in guest physical memory: the map of QEMU's `virt`
// board, so that what is built for that board runs here unmodified.
#ifndef PARKVMM_VMM_BOOT_MEMORY_MAP_H_
#define PARKVMM_VMM_BOOT_MEMORY_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "vmm/base/guest_address.h"

namespace vmm {

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kMaxCpus = 512;

inline constexpr auto kGicDistributor = GuestRange::Fixed(0x08000000, 0x10000);
// KVM's is only 0x2000 long; the board's devicetree says this much.
inline constexpr auto kGicV2CpuInterface =
    GuestRange::Fixed(0x08010000, 0x10000);
// One GICv3 redistributor per CPU: as many as fit here, the rest above RAM.
inline constexpr uint64_t kGicV3RedistributorStride = 0x20000;
inline constexpr auto kGicV3Redistributors =
    GuestRange::Fixed(0x080a0000, 0xf60000);
inline constexpr auto kGicV3HighRedistributors =
    GuestRange::Fixed(0x4000000000, kMaxCpus* kGicV3RedistributorStride);

inline constexpr auto kPl011 = GuestRange::Fixed(0x09000000, 0x1000);
inline constexpr uint32_t kPl011Spi = 1;
inline constexpr auto kPl031 = GuestRange::Fixed(0x09010000, 0x1000);
inline constexpr uint32_t kPl031Spi = 2;
// Nothing lives here; a guest that probes `virt`'s slots finds none.
inline constexpr auto kVirtioMmio = GuestRange::Fixed(0x0a000000, 0x4000);

// The board's hole for devices that it does not have: ours.
inline constexpr auto kPlatformBus = GuestRange::Fixed(0x0c000000, 0x2000000);
inline constexpr auto kMarkDevice = GuestRange::Fixed(0x0c000000, kPageSize);
inline constexpr auto kParkDeviceSlots =
    GuestRange::Fixed(0x0c100000, kMaxCpus* kPageSize);
// For devices that have no address of their own (slot_allocator.h).
inline constexpr auto kSpareSlots = GuestRange::Fixed(0x0c300000, 0x1d00000);
// SPI n is the GIC's INTID 32 + n. The GIC has this many; the board keeps the
// first 48 for its own devices, and the rest is for those without one.
inline constexpr uint32_t kSpis = 96;
inline constexpr uint32_t kFirstSpareSpi = 48;

// RAM is the first bytes of this.
inline constexpr auto kRamWindow =
    GuestRange::Fixed(0x40000000, 0x4000000000 - 0x40000000);

inline constexpr std::array kFixedRanges = {
    kGicDistributor,
    kGicV2CpuInterface,
    kGicV3Redistributors,
    kPl011,
    kPl031,
    kVirtioMmio,
    kMarkDevice,
    kParkDeviceSlots,
    kSpareSlots,
    kRamWindow,
    kGicV3HighRedistributors,
};

// Each range ends before the next begins.
constexpr bool AscendingAndDisjoint(absl::Span<const GuestRange> ranges) {
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i - 1].last() >= ranges[i].base()) return false;
  }
  return true;
}

// Whether `address` is of the board's devices, ours included, used or not.
constexpr bool IsDeviceAddress(GuestAddress address) {
  return address < kRamWindow.base() ||
         kGicV3HighRedistributors.Contains(address);
}

static_assert(AscendingAndDisjoint(kFixedRanges));
static_assert(kSpis % 32 == 0, "KVM's GIC has interrupts by the 32");
static_assert(kPlatformBus.Contains(kMarkDevice));
static_assert(kPlatformBus.Contains(kParkDeviceSlots));
static_assert(kPlatformBus.Contains(kSpareSlots));

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_MEMORY_MAP_H_
