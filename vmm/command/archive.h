// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_COMMAND_ARCHIVE_H_
#define PARKVMM_VMM_COMMAND_ARCHIVE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "vmm/base/content.h"

namespace vmm {

// A command for the guest.
struct GuestCommand {
  std::vector<std::string> words;        // Its name and arguments.
  std::vector<std::string> environment;  // NAME=VALUE each.
  bool terminal = false;                 // Its streams are one, and a terminal.
};

// Returns an archive (cpio, newc) with what runs `command` in a guest, to be
// put before the guest's own initramfs: `init`, the command, and `kernels`,
// Images that the guest is to kexec into in turn, if it is to. Linux unpacks
// one archive after the other.
Content CommandArchive(const GuestCommand& command,
                       absl::Span<const uint8_t> init,
                       absl::Span<const Content> kernels);

// Returns whether Linux would unpack this as an initramfs, by its first bytes.
// A file system image is none. kInvalidArgument if not.
absl::Status CheckInitramfs(const Content& initrd);

// Returns guest-init, a program for the guest; empty in a vmm for machines that
// run no guests.
absl::Span<const uint8_t> GuestInit();

}  // namespace vmm

#endif  // PARKVMM_VMM_COMMAND_ARCHIVE_H_
