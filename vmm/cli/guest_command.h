// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_GUEST_COMMAND_H_
#define PARKVMM_VMM_CLI_GUEST_COMMAND_H_

#include "absl/status/status.h"
#include "vmm/cli/run_options.h"
#include "vmm/machine/machine_spec.h"

namespace vmm {

// Has the guest of `spec` run the command that the user said, if any: what that
// takes lies before the user's initrd. Call it once the rest of `spec` is
// there. kInvalidArgument if that guest cannot.
absl::Status AddCommand(const RunOptions& options, MachineSpec& spec);

// Whether the command has a terminal.
bool CommandHasTerminal(const RunOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_GUEST_COMMAND_H_
