// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_CLOCK_H_
#define PARKVMM_VMM_BASE_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace vmm {

// Nanoseconds since it was made, by CLOCK_MONOTONIC. Any thread.
class Clock {
 public:
  Clock() : origin_(Monotonic()) {}
  int64_t Now() const { return Monotonic() - origin_; }
  // A moment of this clock's, by CLOCK_MONOTONIC itself.
  int64_t ToMonotonic(int64_t ns) const { return origin_ + ns; }

 private:
  static int64_t Monotonic() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }
  int64_t origin_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_CLOCK_H_
