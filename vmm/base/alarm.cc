// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/alarm.h"

#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>

#include "vmm/base/errno_status.h"

namespace vmm {

absl::StatusOr<Alarm> Alarm::Create() {
  UniqueFd fd(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus("timerfd_create");
  return Alarm(std::move(fd));
}

int64_t Alarm::NowS() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

void Alarm::Set(std::optional<int64_t> at_s) const {
  itimerspec when = {};
  // A time of 0 would disarm it.
  if (at_s) when.it_value.tv_sec = std::max<int64_t>(*at_s, 1);
  // Fails for arguments alone that cannot be here.
  static_cast<void>(
      timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr));
}

void Alarm::Take() const {
  uint64_t expirations;
  // Fails if there is nothing to take: it was set anew meanwhile.
  static_cast<void>(!read(fd_.get(), &expirations, sizeof(expirations)));
}

}  // namespace vmm
