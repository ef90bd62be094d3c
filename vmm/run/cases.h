// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CASES_H_
#define PARKVMM_VMM_RUN_CASES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vmm/run/session.h"

namespace vmm {

// One thing that a run tested, as CI systems count them.
struct Case {
  enum class Outcome {
    kPassed,
    kFailed,    // The guest did something wrong.
    kTimedOut,  // The guest did not do something in time.
    kBroken,    // The host or the VMM failed, or the user ended it.
    kSkipped,   // It was not tried.
  };
  std::string name;  // "boot", "kexec 3", "end"; unique in a run
  Outcome outcome = Outcome::kPassed;
  std::optional<int64_t> ns;  // How long it took, if that was seen.
  // If it did not pass:
  std::string id;       // Stable, for scripts: "cpus-lost".
  std::string message;  // One printable line.
  // What was found of a guest that failed: its console's last lines, and where
  // its CPUs were. Printable lines.
  std::vector<std::string> details;
};

// The cases of a run, in the order of time. The last one is the end: everything
// that is no kexec's.
struct CaseList {
  std::string suite;  // What was tested: the arm.
  std::string label;  // Where times come from.
  std::vector<Case> cases;
};

// Kexecs that were expected and did not begin are cases, but no more than this.
inline constexpr uint32_t kMaxMissingCases = 1000;

// Returns the cases of a run that has all its boots. If it concluded well, each
// passed, or was skipped; else one at least did not. Kexecs that were expected
// and did not begin are skipped, and so is one of which nobody knows whether it
// came up, if the run concluded well.
std::vector<Case> CasesOf(const SessionResult& result, bool raw,
                          std::optional<uint32_t> expected_kexecs,
                          absl::Span<const Limit> limits);

// Returns the one case of a run that could not begin: `skipped`, or broken.
Case NotRun(absl::string_view why, bool skipped);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CASES_H_
