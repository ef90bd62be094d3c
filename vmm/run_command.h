// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_COMMAND_H_
#define PARKVMM_VMM_RUN_COMMAND_H_

#include "vmm/core/exit_code.h"
#include "vmm/run_options.h"

namespace vmm {

// `vmm run`: the whole of it, messages included.
ExitCode RunCommand(const RunOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_COMMAND_H_
