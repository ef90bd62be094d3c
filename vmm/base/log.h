// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_LOG_H_
#define PARKVMM_VMM_BASE_LOG_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vmm {

// Everything the VMM itself says goes to stderr, a whole line at a time; the
// guest's console alone has stdout. What a terminal could not show, or would
// obey, is escaped (text.h). Any thread; a reader of stderr that stands still
// is waited for kPatienceMs, once.
//
// Who is to blame decides the level: an error is ours or the host's, a warning
// the guest's.
void LogInfo(absl::string_view line);
void LogWarning(absl::string_view line);
void LogError(absl::string_view line);
// Without the prefix, and of several lines perhaps: tables.
void LogPlain(absl::string_view text);

// Returns why stderr took no more, if so: what was said since is lost.
absl::Status LogStatus();

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_LOG_H_
