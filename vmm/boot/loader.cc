// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/loader.h"

#include "vmm/base/status_macros.h"

namespace vmm {

absl::Status LoadBoot(const Placement& placement, const BootContent& content,
                      GuestMemory& memory) {
  const uint64_t initrd_room = placement.initrd ? placement.initrd->size() : 0;
  if (content.dtb.size() > placement.dtb.size() ||
      content.initrd.size() > initrd_room) {
    return absl::InvalidArgumentError(
        "the devicetree or the initrd is larger than its place");
  }
  RETURN_IF_ERROR(memory.WriteContent(placement.kernel, content.kernel));
  RETURN_IF_ERROR(memory.Write(placement.dtb.base(), content.dtb));
  if (!placement.initrd) return absl::OkStatus();
  return memory.WriteContent(placement.initrd->base(), content.initrd);
}

}  // namespace vmm
