// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_ERRNO_STATUS_H_
#define PARKVMM_VMM_BASE_ERRNO_STATUS_H_

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vmm {

// "WHAT: No such file or directory", with errno's canonical code. Reads errno:
// call it before anything that may change it.
inline absl::Status ErrnoStatus(absl::string_view what) {
  return absl::ErrnoToStatus(errno, what);
}

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_ERRNO_STATUS_H_
