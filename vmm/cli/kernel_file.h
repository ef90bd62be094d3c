// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_KERNEL_FILE_H_
#define PARKVMM_VMM_CLI_KERNEL_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "vmm/boot/kernel_image.h"
#include "vmm/cli/run_options.h"

namespace vmm {

// Reads a kernel that the user names, as --raw says, and logs what there is to
// know of it. A packed one may unpack to as much as the guest has RAM.
// kInvalidArgument if it is none; errors as Content::Open()'s, too.
absl::StatusOr<KernelImage> ReadKernel(const RunOptions& options,
                                       const std::string& path);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_KERNEL_FILE_H_
