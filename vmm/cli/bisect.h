// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_BISECT_H_
#define PARKVMM_VMM_CLI_BISECT_H_

#include "vmm/run/conclusion.h"
#include "vmm/run/exit_code.h"

namespace vmm {

// The codes of --bisect, which `git bisect run` acts upon.
inline constexpr ExitCode kBisectGood{0};
inline constexpr ExitCode kBisectBad{1};
inline constexpr ExitCode kBisectSkip{125};   // This commit cannot be judged.
inline constexpr ExitCode kBisectAbort{255};  // Nor can any other one.

// Returns what a run's end is to `git bisect run`: bad only if the guest did
// something wrong. A command that ends with 125 says that it cannot judge.
ExitCode BisectCode(const Conclusion& conclusion);

// The same for a run that has no conclusion, or whose outputs were lost.
ExitCode BisectCode(ExitCode code);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_BISECT_H_
