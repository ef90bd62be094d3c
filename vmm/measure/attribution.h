// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_ATTRIBUTION_H_
#define PARKVMM_VMM_MEASURE_ATTRIBUTION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "vmm/measure/boot.h"
#include "vmm/measure/cpu_record.h"

namespace vmm {

// Where one phase ends and the next begins; phases are the differences. Stamps
// are those of the events.
struct Boundaries {
  std::optional<int64_t> kexec, first_left, last_off, version, first_called,
      last_started, up;
  // One CPU left. It was the first and the last: its way off begins at
  // `kexec`, and "down" has what would be "prepare".
  bool one_left = false;
};

// Fills in `first_left`, `last_off`, `first_called` and `last_started`; where
// any CPU's was sampled, none. CPUs that are still on their way off at
// `version` end "down" there.
void AddCpus(Boundaries& at, absl::Span<const CpuRecord> cpus);

Phases PhasesOf(const Boundaries& at);

// Each moment belongs to the first of firmware, VMM and polling that holds for
// any CPU, else to the kernel. Polling does not hold while CPUs still leave:
// who waits then waits for them.
PhaseShares SharesOf(const Boundaries& at, absl::Span<const CpuRecord> cpus);

// `begin`: what moments are counted from.
std::vector<CpuTimes> PerCpu(int64_t begin, const Boundaries& at,
                             absl::Span<const CpuRecord> cpus);

Doors DoorsOf(absl::Span<const CpuRecord> cpus);

// CPUs that left, or were called, and have not started.
std::vector<LostCpu> LostOf(absl::Span<const CpuRecord> cpus);

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_ATTRIBUTION_H_
