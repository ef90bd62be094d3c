// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_COMMAND_LINE_H_
#define PARKVMM_VMM_CLI_COMMAND_LINE_H_

#include "vmm/cli/run_command.h"
#include "vmm/run/exit_code.h"

namespace vmm {

// Runs the subcommand that main()'s arguments name. Help goes to stdout, errors
// to stderr, one line each.
ExitCode RunCommandLine(int argc, const char* const* argv,
                        SessionRunner run_session = RunKvmSession,
                        Confiner confine = Unconfined);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_COMMAND_LINE_H_
