// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_REPORT_H_
#define PARKVMM_VMM_MEASURE_REPORT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nlohmann/json_fwd.hpp"
#include "vmm/measure/boot.h"

namespace vmm {

// "pass", "cpus-lost" or "incomplete". The results file's word.
absl::string_view Verdict(const Boot& boot);

// Returns one entry of the results' `boots` or `kexecs`, as
// docs/schemas/result.schema.json describes it. What was not seen is null.
// `mpidrs[i]` is vCPU i's.
nlohmann::json ToJson(const Boot& boot, absl::Span<const uint64_t> mpidrs);

// For people, in ms: a heading, a line per boot (0 is the first boot), and a
// line per CPU.
std::string TableHeading();
std::string TableRow(const Boot& boot);
std::string PerCpuTable(const Boot& boot, absl::Span<const uint64_t> mpidrs);

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_REPORT_H_
