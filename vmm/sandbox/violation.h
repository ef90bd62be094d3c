// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_SANDBOX_VIOLATION_H_
#define PARKVMM_VMM_SANDBOX_VIOLATION_H_

#include "absl/strings/string_view.h"

namespace vmm {

// The exit status of a VMM that made a system call which it never makes.
inline constexpr int kViolationStatus = 72;

// Has such a call end the process with `status`, and a line on stderr that
// names the thread and the call. `before` runs first, if it is not nullptr; it
// may do what a signal handler may. A thread that has blocked SIGSYS, as one
// that ends has, ends the process by that signal.
void EndOnViolation(void (*before)(), int status = kViolationStatus);

// What that line calls the calling thread: 15 characters at most.
void NameForViolations(absl::string_view name);

}  // namespace vmm

#endif  // PARKVMM_VMM_SANDBOX_VIOLATION_H_
