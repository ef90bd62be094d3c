// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_MUTEX_H_
#define PARKVMM_VMM_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
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
  friend class CondVar;
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

// std::condition_variable for a Mutex. Waits take no predicate, because the
// analysis does not see into one: callers wait in a loop.
class CondVar {
 public:
  // Any thread, with or without the mutex.
  void NotifyAll() { changed_.notify_all(); }
  // Returns once notified or after `how_long`, now and then earlier. `mutex` is
  // free meanwhile.
  void WaitFor(Mutex& mutex, std::chrono::nanoseconds how_long)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    changed_.wait_for(held, how_long);
    held.release();
  }

 private:
  std::condition_variable changed_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_MUTEX_H_
