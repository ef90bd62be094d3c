// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_SANDBOX_FILES_H_
#define PARKVMM_VMM_SANDBOX_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace vmm {

// Files that the VMM may open from now on, whatever happens to it.
struct FileRules {
  std::vector<std::string> read;     // Files, and folders with all below them.
  std::vector<std::string> devices;  // Files that are written to as they are.
  std::vector<std::string> folders;  // In which files are made and replaced.
};

// Returns which version of Landlock this host's kernel has; 0: none.
int LandlockVersion();

// Confines the calling thread, and all that it starts from now on, to these
// files, by Landlock (Linux: Documentation/userspace-api/landlock.rst). What is
// open stays open. A path that is not there is passed over. Nothing happens
// where the kernel has no Landlock. kInternal if it fails.
absl::Status ConfineFiles(const FileRules& rules);

}  // namespace vmm

#endif  // PARKVMM_VMM_SANDBOX_FILES_H_
