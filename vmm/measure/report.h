// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_REPORT_H_
#define PARKVMM_VMM_MEASURE_REPORT_H_

#include <cstdint>
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

// Returns `ns` in ms, in six characters for up to a quarter of an hour: with as
// many digits as fit, down to the microsecond.
std::string Milliseconds(int64_t ns);

// "8 of 8": CPUs after the boot, and before it.
std::string CpusBack(const Boot& boot);

// Whether a table has times. Where they mean nothing, it has none.
enum class Times : uint8_t { kShown, kHidden };

// For people, in ms and in 80 columns: a heading, a line per boot, and a line
// per CPU. They grow wider with kexecs by the thousand, or a quarter of an
// hour.
std::string TableHeading(Times times);
std::string TableRow(const Boot& boot, Times times);
std::string PerCpuTable(const Boot& boot, absl::Span<const uint64_t> mpidrs);

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_REPORT_H_
