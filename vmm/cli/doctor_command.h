// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_DOCTOR_COMMAND_H_
#define PARKVMM_VMM_CLI_DOCTOR_COMMAND_H_

#include "vmm/kvm/host_report.h"
#include "vmm/run/exit_code.h"

namespace vmm {

// Prints what this host can do, ExamineHost(), to stdout. kHostCannot if
// `vmm run` could not work here.
ExitCode DoctorCommand(const HostReport& report, bool as_json);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_DOCTOR_COMMAND_H_
