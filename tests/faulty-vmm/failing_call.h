// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_FAULTY_VMM_FAILING_CALL_H_
#define PARKVMM_TESTS_FAULTY_VMM_FAILING_CALL_H_

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace vmm {

// One system call of a whole run, of all its threads.
struct FailingCall {
  uint32_t number = 0;              // Linux's, of this architecture.
  std::optional<uint32_t> request;  // Of ioctl and futex; else any.
  uint32_t index = 0;               // From 1 on.
  int error = 0;                    // What it fails with, unmade.
};

// "fail:NUMBER[/REQUEST]:INDEX:ERRNO".
std::optional<FailingCall> ParseFailingCall(absl::string_view text);

// Calls `run` in a process of its own, of which `call` fails, and returns what
// that exits with: 128 and more if a signal ended it, as a shell says it.
// (seccomp_unotify(2): the kernel asks this process about each such call.)
int RunWithFailingCall(const FailingCall& call, absl::FunctionRef<int()> run);

// As that, but nothing fails. Says on stderr at last how often it made which
// call, a line for each: "vmm-faulty: NUMBER[/REQUEST] made N".
int RunAndCountCalls(absl::FunctionRef<int()> run);

}  // namespace vmm

#endif  // PARKVMM_TESTS_FAULTY_VMM_FAILING_CALL_H_
