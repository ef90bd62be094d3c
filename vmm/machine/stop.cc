// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/stop.h"

#include <sys/eventfd.h>

#include <utility>

namespace vmm {

StopReason StopReasonOf(const absl::Status& error, uint32_t vcpu) {
  return {.kind = absl::IsResourceExhausted(error)
                      ? StopReason::Kind::kHostError
                      : StopReason::Kind::kVmmError,
          .detail = std::string(error.message()),
          .vcpu = vcpu};
}

StopLatch::StopLatch() : event_(eventfd(0, EFD_CLOEXEC)) {}

bool StopLatch::Set(StopReason reason) {
  {
    MutexLock lock(mutex_);
    if (reason_) return false;
    reason_ = std::move(reason);
  }
  eventfd_write(event_.get(), 1);
  return true;
}

std::optional<StopReason> StopLatch::reason() const {
  MutexLock lock(mutex_);
  return reason_;
}

}  // namespace vmm
