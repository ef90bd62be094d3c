// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/sandbox.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "vmm/sandbox/filters.h"
#include "vmm/sandbox/violation.h"

namespace vmm {
namespace {

absl::Span<const sock_filter> FilterOf(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::kMain:
      return kMainFilter;
    case ThreadKind::kVcpu:
      return kVcpuFilter;
    case ThreadKind::kWatch:
      return kWatchFilter;
  }
  return {};
}

absl::Status Refused(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("this host's kernel cannot confine the VMM: ", what, ": ",
                   std::strerror(errno), "; --seccomp off runs it unconfined"));
}

}  // namespace

absl::Status SeccompSandbox::Enter(ThreadKind kind,
                                   absl::string_view name) const {
  if (mode_ == Seccomp::kOff) return absl::OkStatus();
  const absl::Span<const sock_filter> filter = FilterOf(kind);
  std::vector<sock_filter> program(filter.begin(), filter.end());
  if (mode_ == Seccomp::kLog) {
    for (sock_filter& each : program) {
      const bool traps =
          each.code == (BPF_RET | BPF_K) && each.k == SECCOMP_RET_TRAP;
      if (traps) each.k = SECCOMP_RET_LOG;
    }
  }
  NameForViolations(name);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Refused("no_new_privs");
  }
  const sock_fprog loaded = {.len = static_cast<unsigned short>(program.size()),
                             .filter = program.data()};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded) != 0) {
    return Refused("seccomp");
  }
  return absl::OkStatus();
}

}  // namespace vmm
