// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/bench.h"

#include "guest-stub/gic.h"
#include "guest-stub/timer.h"

namespace stub {

void StampNow(uint64_t index) { stamps[index].first = Now(); }

void ClearStamps(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) stamps[i].first = 0;
}

uint64_t LastStamp(uint32_t count) {
  uint64_t last = 0;
  for (uint32_t i = 0; i < count; ++i) {
    while (stamps[i].first.load() == 0) Sleep(200);
    if (stamps[i].first.load() > last) last = stamps[i].first.load();
  }
  return last;
}

void OpenTimer() {
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
}

}  // namespace stub
