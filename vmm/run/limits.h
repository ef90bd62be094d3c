// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_LIMITS_H_
#define PARKVMM_VMM_RUN_LIMITS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vmm/measure/boot.h"

namespace vmm {

// The longest that something may take in each kexec of a run.
struct Limit {
  std::string what;      // A phase, "total" or "teardown".
  bool per_cpu = false;  // Of the CPUs beside the one that calls kexec.
  int64_t ns = 0;
};

// Returns "down", or "down/cpu".
std::string NameOf(const Limit& limit);

// Returns whether a boot has a time of that name: "down", for example.
bool IsMeasure(absl::string_view what);

// A kexec that took longer than it may, or of which that cannot be said.
struct Excess {
  const Limit* limit;
  std::optional<int64_t> ns;  // How long it took; nothing if it was not seen.
  std::string Sentence(const Boot& boot) const;
};

// Returns the first limit that a boot does not keep. Those that are no kexec,
// did not come up, or are crash kernels keep all.
std::optional<Excess> FirstExcess(const Boot& boot,
                                  absl::Span<const Limit> limits);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_LIMITS_H_
