// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_CONFINEMENT_H_
#define PARKVMM_VMM_CLI_CONFINEMENT_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "vmm/cli/run_options.h"
#include "vmm/kvm/host_report.h"
#include "vmm/sandbox/files.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {

// Confines this process before anything that the user names is read. Returns
// what its further threads are to be confined by; nullptr: nothing.
using Confiner =
    absl::FunctionRef<absl::StatusOr<std::unique_ptr<const Sandbox>>(
        const RunOptions&)>;

// Confines nothing: a test's process goes on afterwards.
absl::StatusOr<std::unique_ptr<const Sandbox>> Unconfined(
    const RunOptions& options);

// Confines it to the files that the options name and to the system calls of a
// run, unless they say --seccomp off. kFailedPrecondition if the host's kernel
// cannot.
absl::StatusOr<std::unique_ptr<const Sandbox>> ConfineProcess(
    const RunOptions& options);

// Says for `vmm doctor` whether this host's kernel can confine files.
HostCheck ConfinementCheck();

// Which files a run opens.
FileRules FilesOf(const RunOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_CONFINEMENT_H_
