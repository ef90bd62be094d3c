// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_DOCTOR_COMMAND_H_
#define PARKVMM_VMM_CLI_DOCTOR_COMMAND_H_

#include "vmm/run/exit_code.h"

namespace vmm {

// `vmm doctor`: what this host can do, on stdout. kHostCannot if `vmm run`
// could not work here.
ExitCode DoctorCommand(bool as_json);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_DOCTOR_COMMAND_H_
