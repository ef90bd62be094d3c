// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_REPORT_H_
#define PARKVMM_VMM_MEASURE_REPORT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"
#include "vmm/measure/kexec_tracker.h"

namespace vmm {

// "pass", "cpus-lost" or "incomplete". The results file's word.
absl::string_view Verdict(const Boot& boot);

// One entry of the results' `kexecs`: arm, cpus, cpus_back, verdict, phase_ns,
// total_ns, per_cpu. Phases that could not be seen are null. `mpidrs[i]` is
// vCPU i's.
nlohmann::json ToJson(const Boot& boot, absl::string_view arm,
                      absl::Span<const uint64_t> mpidrs);

// For people, in ms: a heading, a line per boot (0 is the first boot), and a
// line per CPU.
std::string TableHeading();
std::string TableRow(size_t number, const Boot& boot);
std::string PerCpuTable(const Boot& boot, absl::Span<const uint64_t> mpidrs);

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_REPORT_H_
