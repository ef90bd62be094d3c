// SPDX-License-Identifier: Apache-2.0
// Until Abseil brings its own (Debian 12 has 20220623, which has none).
#ifndef PARKVMM_VMM_BASE_STATUS_MACROS_H_
#define PARKVMM_VMM_BASE_STATUS_MACROS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                           \
  do {                                                        \
    if (absl::Status status_ = (expression); !status_.ok()) { \
      return status_;                                         \
    }                                                         \
  } while (false)

#define STATUS_MACROS_JOIN_(a, b) a##b
#define STATUS_MACROS_NAME_(a, b) STATUS_MACROS_JOIN_(a, b)
#define ASSIGN_OR_RETURN(target, expression)                           \
  ASSIGN_OR_RETURN_(STATUS_MACROS_NAME_(status_or_, __LINE__), target, \
                    expression)
// `target` may be a declaration, so it cannot have parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define ASSIGN_OR_RETURN_(temporary, target, expression) \
  auto temporary = (expression);                         \
  if (!temporary.ok()) return temporary.status();        \
  target = *std::move(temporary)
// NOLINTEND(bugprone-macro-parentheses)

#endif  // PARKVMM_VMM_BASE_STATUS_MACROS_H_
