// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_RUN_COMMAND_H_
#define PARKVMM_VMM_CLI_RUN_COMMAND_H_

#include "vmm/cli/run_options.h"
#include "vmm/run/exit_code.h"

namespace vmm {

// `vmm run`: the whole of it, messages included.
ExitCode RunCommand(const RunOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_RUN_COMMAND_H_
