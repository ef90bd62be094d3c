// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_ERRNO_STATUS_H_
#define PARKVMM_VMM_BASE_ERRNO_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vmm {

// Returns what errno's `error` means, and what to do if that is always the
// same: "Too many open files; raise their limit with ulimit -n".
[[gnu::cold]] std::string DescribeErrno(int error);

// Returns "WHAT: No such file or directory" for errno: kNotFound or
// kPermissionDenied if another path would do, kResourceExhausted if the host
// has too little of something, kDataLoss if a device failed or a reader left,
// else kUnknown. Never kInvalidArgument, which blames the user, and never
// kFailedPrecondition, which blames the host's KVM. Reads errno: call it before
// anything that may change it.
[[gnu::cold]] absl::Status ErrnoStatus(absl::string_view what);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_ERRNO_STATUS_H_
