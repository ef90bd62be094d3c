// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_LACKING_CALL_H_
#define PARKVMM_TESTS_SUPPORT_LACKING_CALL_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace vmm {

// From here on the system call fails with `error` in this process, as where
// Linux lacks it or has no more. There is no way back: for death tests.
inline void LackCall(uint32_t number, uint32_t error) {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog loaded = {.len = std::size(program),
                             .filter = const_cast<sock_filter*>(program)};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded) != 0) {
    _exit(201);
  }
}

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_LACKING_CALL_H_
