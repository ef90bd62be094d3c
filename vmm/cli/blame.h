// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_BLAME_H_
#define PARKVMM_VMM_CLI_BLAME_H_

#include "absl/status/status.h"
#include "vmm/run/exit_code.h"

namespace vmm {

// Logs an error about what the user said or about a file that the user named,
// and returns whom it blames: kUsage if another option or path would do,
// kHostCannot if the host failed, as with a full disk or too many open files.
ExitCode Blame(const absl::Status& error);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_BLAME_H_
