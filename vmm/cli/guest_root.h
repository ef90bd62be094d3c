// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_GUEST_ROOT_H_
#define PARKVMM_VMM_CLI_GUEST_ROOT_H_

#include "absl/status/status.h"
#include "vmm/cli/run_options.h"
#include "vmm/machine/machine_spec.h"

namespace vmm {

// Gives `spec` the initrd that the user named, or the root file system, with
// the words of the command line that start the latter. Call it once the command
// line is there. kInvalidArgument if that cannot be a guest's.
absl::Status AddRoot(const RunOptions& options, MachineSpec& spec);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_GUEST_ROOT_H_
