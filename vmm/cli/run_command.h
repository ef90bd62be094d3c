// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_RUN_COMMAND_H_
#define PARKVMM_VMM_CLI_RUN_COMMAND_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "vmm/cli/confinement.h"
#include "vmm/cli/run_options.h"
#include "vmm/kvm/host_label.h"
#include "vmm/machine/machine.h"
#include "vmm/run/exit_code.h"
#include "vmm/run/session.h"

namespace vmm {

// RunKvmSession(), or a test's.
using SessionRunner = absl::FunctionRef<absl::StatusOr<SessionResult>(
    MachineSpec&, const MachinePlan&, const SessionOptions&)>;

// Does all of `vmm run`, messages included.
ExitCode RunCommand(const RunOptions& options,
                    SessionRunner run_session = RunKvmSession,
                    Confiner confine = Unconfined);

// Returns what the reader of the table must know, a line each.
std::vector<std::string> Caveats(const RunOptions& options,
                                 const HostLabel& label,
                                 const SessionResult& result);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_RUN_COMMAND_H_
