// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_RUN_OUTPUTS_H_
#define PARKVMM_VMM_CLI_RUN_OUTPUTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "vmm/cli/run_options.h"
#include "vmm/kvm/host_label.h"
#include "vmm/machine/machine_spec.h"
#include "vmm/run/session.h"

namespace vmm {

// What is written once a run is over: --results and each --format.

// Refuses a file that two outputs would write, and one that could not be
// written at the end of the run.
absl::Status CheckOutputs(const RunOptions& options);

// What the outputs say beside the run itself.
struct RunLines {
  Times times = Times::kShown;
  HostLabel label;
  std::optional<uint32_t> expected_kexecs;
  std::vector<Limit> limits;
  std::string summary;  // KexecTally's; may be empty.
};

// Returns how many kexecs began: those that came up, and the last one if it did
// not.
uint32_t KexecsBegun(const SessionResult& result);

// Writes what was asked for. Says each error, and returns the first.
absl::Status WriteOutputs(const RunOptions& options, const MachineSpec& spec,
                          const SessionResult& result, const RunLines& lines);

// The same for a run that could not begin, and ends with `code`: each format
// says so, but --results are left as they are. Says errors.
void WriteThatItDidNotRun(const RunOptions& options, const std::string& label,
                          const absl::Status& why, ExitCode code);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_RUN_OUTPUTS_H_
