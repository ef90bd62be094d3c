// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_PLACEMENT_H_
#define PARKVMM_VMM_BOOT_PLACEMENT_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"
#include "vmm/boot/kernel_image.h"

namespace vmm {

// Where the first kernel finds itself and what it needs.
struct Placement {
  GuestAddress kernel;  // Its first byte; the boot CPU starts here.
  GuestRange dtb;       // The room for it; its base goes into X0.
  std::optional<GuestRange> initrd;
};

// Chooses addresses by the rules of Documentation/arch/arm64/booting.rst:
// kernel, devicetree, initrd, ascending; but the devicetree of a kernel that
// does not say how large it is lies before it, at RAM's base, where firmware
// looks for it as on QEMU's board. `ram` lies in kRamWindow and begins
// on a 2 MiB boundary; `initrd_size` is in bytes, 0 for none. Pure.
//
// kInvalidArgument if no kernel could reach all of the initrd,
// kResourceExhausted if RAM is too small; the error says how much it takes.
absl::StatusOr<Placement> PlaceBoot(GuestRange ram, const KernelImage& kernel,
                                    uint64_t initrd_size);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_PLACEMENT_H_
