// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/shared_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace psci {

// The kernel's own compare-and-sleep: std::atomic's has no deadline.
static_assert(sizeof(SharedWord<uint32_t>) == sizeof(uint32_t));
static_assert(sizeof(SharedWord<uint64_t>) == sizeof(uint64_t));

void SleepOn(const SharedWord<uint32_t>& word, uint32_t seen,
             std::optional<int64_t> deadline_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  timespec end = {};
  if (deadline_ns) end = {*deadline_ns / kSecond, *deadline_ns % kSecond};
  // Of the two waits, the one whose deadline is a moment, not a duration.
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, seen,
          deadline_ns ? &end : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void WakeSleepersOn(const SharedWord<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace psci
