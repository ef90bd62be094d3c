// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_PROGRAM_H_
#define PARKVMM_VMM_CLI_PROGRAM_H_

namespace vmm {

// What main() is: prepares the process for it and runs the command line, on
// KVM and confined. Returns the exit status.
int RunProgram(int argc, const char* const* argv);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_PROGRAM_H_
