// SPDX-License-Identifier: Apache-2.0
// The virtual timer.
#ifndef PARKVMM_GUEST_STUB_TIMER_H_
#define PARKVMM_GUEST_STUB_TIMER_H_

#include <cstdint>

#include "guest-stub/arch.h"

namespace stub {

inline constexpr uint64_t kTimerEnable = 1;
inline constexpr uint64_t kTimerMask = 2;
inline constexpr uint64_t kTimerStatus = 4;

inline uint64_t Now() {
  asm volatile("isb" ::: "memory");
  return READ_SYSREG(cntvct_el0);
}

inline uint64_t Ticks(uint64_t microseconds) {
  return READ_SYSREG(cntfrq_el0) * microseconds / 1'000'000;
}

inline uint64_t Microseconds(uint64_t ticks) {
  return ticks * 1'000'000 / READ_SYSREG(cntfrq_el0);
}

// Every wait has one. Generous: an emulated host is slow, and a shared one
// slower.
class Deadline {
 public:
  explicit Deadline(uint64_t seconds = 20)
      : end_(Now() + READ_SYSREG(cntfrq_el0) * seconds) {}
  bool Passed() const { return Now() > end_; }

 private:
  uint64_t end_;
};

inline void StartTimer(uint64_t microseconds) {
  WRITE_SYSREG(cntv_cval_el0, Now() + Ticks(microseconds));
  WRITE_SYSREG(cntv_ctl_el0, kTimerEnable);
}

inline void StopTimer() { WRITE_SYSREG(cntv_ctl_el0, 0); }

// Interrupts masked, the timer's enabled; whoever else has something to do does
// it meanwhile.
inline void Sleep(uint64_t microseconds) {
  StartTimer(microseconds);
  WaitForInterrupt();
  StopTimer();
}

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_TIMER_H_
