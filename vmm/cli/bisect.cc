// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/bisect.h"

namespace vmm {

ExitCode BisectCode(const Conclusion& conclusion) {
  if (conclusion.id == "command-not-run") return kBisectSkip;
  if (!conclusion.IsCommands()) return BisectCode(conclusion.code);
  return conclusion.code == kBisectSkip ? kBisectSkip : kBisectBad;
}

ExitCode BisectCode(ExitCode code) {
  switch (code) {
    case ExitCode::kOk:
      return kBisectGood;
    case ExitCode::kVerdict:
    case ExitCode::kGuestPanic:
    case ExitCode::kBootTimeout:
    case ExitCode::kCpuStuck:
    case ExitCode::kUnexpectedReset:
    case ExitCode::kTimeout:
      return kBisectBad;
    case ExitCode::kHostCannot:
    case ExitCode::kVmmBug:
    case ExitCode::kSandbox:
    case ExitCode::kOutputLost:
    case ExitCode::kSkipped:
      return kBisectSkip;
    case ExitCode::kUsage:
    case ExitCode::kInterrupted:
      break;
  }
  return kBisectAbort;
}

}  // namespace vmm
