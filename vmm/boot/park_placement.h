// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_PARK_PLACEMENT_H_
#define PARKVMM_VMM_BOOT_PARK_PLACEMENT_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"
#include "vmm/boot/placement.h"

namespace vmm {

// The smallest page a guest can have: park pages begin at multiples of it.
inline constexpr uint64_t kParkUnit = 4096;
// RAM before and behind the pages that is ours too: who counts from the wrong
// number is noticed there. The largest page a guest or host can have.
inline constexpr uint64_t kParkGuard = 65536;

// Where the park pages lie in RAM (psci-emul/park_abi.h).
struct ParkPlacement {
  GuestRange window;  // All that is taken from the guest's RAM.
  GuestRange pages;   // Between two guards; cpuparkmem= names its start.
  uint64_t stride = kParkUnit;  // From one CPU's page to the next.
};

struct ParkWish {
  uint32_t vcpus = 1;
  uint32_t guest_page = 0;           // Bytes; 0: not known, 4096 is assumed.
  std::optional<GuestAddress> base;  // Of the pages; else the end of RAM.
};

// Room for the kernel's NR_CPUS, 512 at most, where that is no more than an
// eighth of RAM, else for the CPUs that there are. Pure.
//
// kInvalidArgument, in one sentence with the remedy: `base` is not a multiple
// of the guest's page size, is not in RAM, or leaves no room for the CPUs.
// kResourceExhausted: RAM is too small for the pages.
absl::StatusOr<ParkPlacement> PlacePark(GuestRange ram, const ParkWish& wish);

// kInvalidArgument if the pages or guards lie where `boot` has put something.
absl::Status CheckApart(const ParkPlacement& park, const Placement& boot,
                        uint64_t kernel_bytes);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_PARK_PLACEMENT_H_
