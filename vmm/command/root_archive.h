// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_COMMAND_ROOT_ARCHIVE_H_
#define PARKVMM_VMM_COMMAND_ROOT_ARCHIVE_H_

#include <string>

#include "absl/status/statusor.h"
#include "vmm/base/content.h"

namespace vmm {

// A root file system, as Linux unpacks one at its start.
struct RootArchive {
  Content archive;   // cpio, newc, without compression.
  std::string init;  // What starts it: /init, /sbin/init, …; empty if nothing.
};

// Returns the folder for temporary files.
std::string FolderForUnpacking();

// Reads a folder, or a tar or cpio archive that is plain or compressed by gzip,
// bzip2, xz or zstd. In a folder, what is the caller's becomes root's. Takes
// space for all of it, without compression, in FolderForUnpacking().
// kInvalidArgument if that is no root; kResourceExhausted if there is no space.
absl::StatusOr<RootArchive> ReadRoot(const std::string& path);

}  // namespace vmm

#endif  // PARKVMM_VMM_COMMAND_ROOT_ARCHIVE_H_
