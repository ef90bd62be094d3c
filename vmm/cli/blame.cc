// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/blame.h"

#include "vmm/base/log.h"

namespace vmm {

ExitCode Blame(const absl::Status& error) {
  LogError(error.message());
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kUsage;
    default:
      return ExitCode::kHostCannot;
  }
}

}  // namespace vmm
