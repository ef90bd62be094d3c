// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_CALL_FILTER_H_
#define PARKVMM_TESTS_SUPPORT_CALL_FILTER_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

namespace vmm {

// From here on, the calling thread's system call of that number, or each one if
// there is none, comes to `action`, one of SECCOMP_RET_*; of ioctl and futex
// only with `request`, if that is given. There is no way back. Returns what
// seccomp(2) does: with SECCOMP_FILTER_FLAG_NEW_LISTENER a descriptor; -1 and
// errno on error.
inline int FilterCall(std::optional<uint32_t> number,
                      std::optional<uint32_t> request, uint32_t action,
                      unsigned flags = 0) {
  // Little-endian: the lower half of an argument comes first.
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | (number ? BPF_JEQ : BPF_JGE) | BPF_K,
               number.value_or(0), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | (request ? BPF_JEQ : BPF_JGE) | BPF_K,
               request.value_or(0), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog loaded = {.len = std::size(program),
                             .filter = const_cast<sock_filter*>(program)};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return static_cast<int>(
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded));
}

// The call fails with `error`, as where Linux lacks it or has no more. For
// death tests: exits with 201 if that cannot be had.
inline void LackCall(uint32_t number, uint32_t error) {
  if (FilterCall(number, std::nullopt, SECCOMP_RET_ERRNO | error) != 0) {
    _exit(201);
  }
}

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_CALL_FILTER_H_
