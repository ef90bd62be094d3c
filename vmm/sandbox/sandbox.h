// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_SANDBOX_SANDBOX_H_
#define PARKVMM_VMM_SANDBOX_SANDBOX_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "vmm/sandbox/thread_kind.h"

namespace vmm {

// What becomes of a system call that a thread never makes (--seccomp).
enum class Seccomp {
  kOn,   // The VMM ends: kViolationStatus.
  kLog,  // The kernel's log has a line, and it is made.
  kOff,  // It is made.
};

// Confines threads to the system calls of their kind, or to less, in a test.
// Thread-safe.
class Sandbox {
 public:
  virtual ~Sandbox() = default;

  // Confines the calling thread, and all that it starts from now on; those may
  // be confined further. The line about a violation calls it `name`.
  // kFailedPrecondition if this host's kernel cannot.
  virtual absl::Status Enter(ThreadKind kind, absl::string_view name) const = 0;
};

// By seccomp, with the filters of system_calls.list (Linux:
// Documentation/userspace-api/seccomp_filter.rst).
class SeccompSandbox : public Sandbox {
 public:
  explicit SeccompSandbox(Seccomp mode) : mode_(mode) {}
  absl::Status Enter(ThreadKind kind, absl::string_view name) const override;

 private:
  const Seccomp mode_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_SANDBOX_SANDBOX_H_
