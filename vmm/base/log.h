// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_LOG_H_
#define PARKVMM_VMM_BASE_LOG_H_

#include "absl/strings/string_view.h"

namespace vmm {

// Everything the VMM itself says goes to stderr, a whole line at a time; the
// guest's console alone has stdout. Any thread.
//
// Who is to blame decides the level: an error is ours or the host's, a warning
// the guest's.
void LogInfo(absl::string_view line);
void LogWarning(absl::string_view line);
void LogError(absl::string_view line);
// Without the prefix: tables.
void LogPlain(absl::string_view text);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_LOG_H_
