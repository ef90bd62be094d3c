// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RESULTS_H_
#define PARKVMM_VMM_RESULTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json_fwd.hpp"
#include "vmm/core/machine.h"
#include "vmm/core/session.h"
#include "vmm/run_options.h"

namespace vmm {

// The results of one run: what happened, and all that is needed to repeat it.
// `schema_version` changes when a reader of the old would misread the new.
nlohmann::json ResultsJson(const RunOptions& options, const MachineSpec& spec,
                           const SessionResult& session);

// Before the run: whether WriteResults(path) could work. OK for no path.
absl::Status CheckWritable(const std::string& path);

// Whole or not at all: written beside `path`, then renamed.
absl::Status WriteResults(const std::string& path,
                          const nlohmann::json& results);

}  // namespace vmm

#endif  // PARKVMM_VMM_RESULTS_H_
