// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_ALARM_H_
#define PARKVMM_VMM_BASE_ALARM_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "vmm/base/unique_fd.h"

namespace vmm {

// One alarm by the host's time of day (CLOCK_REALTIME), which a file descriptor
// tells: an event loop waits for it. Follows the clock when somebody sets it.
class Alarm {
 public:
  // Errors as ErrnoStatus().
  static absl::StatusOr<Alarm> Create();

  // Seconds since 1970. Not time(): that may be a tick behind, and an alarm
  // would come a second early.
  static int64_t NowS();

  // fd() is readable from this second on; from now if that has passed. nullopt:
  // not any more. Any thread.
  void Set(std::optional<int64_t> at_s) const;
  // Ends what fd() tells, until the next Set(). The event loop's thread.
  void Take() const;
  int fd() const { return fd_.get(); }

 private:
  explicit Alarm(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_ALARM_H_
