// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/kernel_file.h"

#include <algorithm>

#include "vmm/base/content.h"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"

namespace vmm {

absl::StatusOr<KernelImage> ReadKernel(const RunOptions& options,
                                       const std::string& path) {
  ASSIGN_OR_RETURN(const Content file, Content::Open(path, kMaxKernelBytes));
  auto kernel =
      options.raw
          ? ParseRaw(path, file)
          : ParseKernel(path, file, std::min(kMaxKernelBytes, options.memory));
  // Whatever is wrong with it, it is the user's file.
  if (!kernel.ok()) {
    return absl::InvalidArgumentError(kernel.status().message());
  }
  if (!kernel->note.empty()) LogInfo(kernel->note);
  return kernel;
}

}  // namespace vmm
