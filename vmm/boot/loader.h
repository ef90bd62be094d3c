// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_LOADER_H_
#define PARKVMM_VMM_BOOT_LOADER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "vmm/base/content.h"
#include "vmm/boot/placement.h"
#include "vmm/memory/guest_memory.h"

namespace vmm {

// What the first kernel starts with, in bytes.
struct BootContent {
  Content kernel;
  absl::Span<const uint8_t> dtb;
  Content initrd;  // Empty for none.
};

// Brings `content` to where `placement` says, before any vCPU runs.
// kInvalidArgument if it is larger than what was placed, kOutOfRange if the
// place is not in `memory`, and what Content::ReadAt() says.
absl::Status LoadBoot(const Placement& placement, const BootContent& content,
                      GuestMemory& memory);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_LOADER_H_
