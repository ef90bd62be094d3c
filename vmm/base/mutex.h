// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_MUTEX_H_
#define PARKVMM_VMM_BASE_MUTEX_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace vmm {

// std::mutex with clang's thread-safety annotations. Not absl::Mutex: Debian
// builds Abseil without TSan, which then reports every use as a race.
class ABSL_LOCKABLE Mutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_MUTEX_H_
