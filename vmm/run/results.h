// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_RESULTS_H_
#define PARKVMM_VMM_RUN_RESULTS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "nlohmann/json.hpp"
#include "vmm/kvm/host_label.h"
#include "vmm/machine/machine.h"
#include "vmm/run/cases.h"
#include "vmm/run/session.h"

namespace vmm {

// How the user asked for a run.
struct RunRequest {
  nlohmann::json config;  // The effective configuration, as --dry-run has it.
  std::string arm;        // The name of what is measured.
  HostLabel label;        // Where times come from.
};

// Returns the results of one run with digests: what happened, and all that is
// needed to repeat it. docs/schemas/result.schema.json describes them.
nlohmann::json ResultsJson(const RunRequest& request, const MachineSpec& spec,
                           const SessionResult& session,
                           absl::Span<const Case> cases);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_RESULTS_H_
