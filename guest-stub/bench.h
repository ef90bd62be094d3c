// SPDX-License-Identifier: Apache-2.0
// What the payloads that measure have in common. One line per figure:
//   [bench] NAME nanoseconds N of M
// N for one round: the median of M samples, so that what the host does now and
// then (its timer tick, our own housekeeping) is in none of the figures.
//
// Nobody spins while another CPU is being measured: in virtual time all CPUs
// share one clock, and who spins has it.
#ifndef PARKVMM_GUEST_STUB_BENCH_H_
#define PARKVMM_GUEST_STUB_BENCH_H_

#include <cstdint>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/report.h"

namespace stub {

inline uint64_t Nanoseconds(uint64_t ticks) {
  return ticks * 1'000'000'000 / READ_SYSREG(cntfrq_el0);
}

// The VMM resets a CPU's registers when it has been off for a moment: so long
// until `count` are as new.
constexpr uint64_t SettleMicroseconds(uint32_t count) {
  return 40'000 + 500 * uint64_t{count};
}

// Many CPUs seldom meet twice alike; 128 meet seldom.
constexpr uint32_t RoundsOf(uint32_t count) { return count > 32 ? 9 : 25; }
// Between two questions whether they have left: who asks has the clock, and is
// to leave it to 128 that want to go.
constexpr uint64_t PauseMicroseconds(uint32_t count) {
  return count > 32 ? 20 : 2;
}

class Samples {
 public:
  void Add(uint64_t ticks) {
    EXPECT(count_ < kMost);
    uint64_t i = count_++;
    for (; i > 0 && ticks < sorted_[i - 1]; --i) sorted_[i] = sorted_[i - 1];
    sorted_[i] = ticks;
  }
  // NAME in parts.
  void Report(uint64_t rounds_per_sample, auto... name) const {
    Print("[bench] ", name..., " nanoseconds ",
          Nanoseconds(sorted_[count_ / 2]) / rounds_per_sample, " of ", count_);
  }
  // The sample that nothing else delayed, if any.
  void ReportFastest(auto... name) const {
    Print("[bench] ", name..., "_fastest nanoseconds ", Nanoseconds(sorted_[0]),
          " of ", count_);
  }

 private:
  static constexpr uint64_t kMost = 101;
  uint64_t count_ = 0;
  uint64_t sorted_[kMost] = {};
};

// The first moment of each CPU's C++ code, 0 before.
struct alignas(64) Stamp {
  std::atomic<uint64_t> first;
};
inline constinit Stamp stamps[board::kMaxCpus] = {};

void StampNow(uint64_t index);
// Forgets all stamps, and waits until there are so many: the last one's.
void ClearStamps(uint32_t count);
uint64_t LastStamp(uint32_t count);

// Its interrupt wakes this CPU from now on.
void OpenTimer();

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_BENCH_H_
