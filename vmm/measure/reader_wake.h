// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_READER_WAKE_H_
#define PARKVMM_VMM_MEASURE_READER_WAKE_H_

#include <sys/eventfd.h>

#include <atomic>

#include "vmm/base/unique_fd.h"

namespace vmm {

// How the reader of the event rings is told to come. It comes by itself every
// now and then; only one that sleeps is woken for each event, so that whoever
// is measured makes no system call. Any thread, but for what says otherwise.
class ReaderWake {
 public:
  // Readable until Heard() is called. For poll().
  int fd() const { return fd_.get(); }

  // The reader: wants to be woken by the next event. It looks for those that
  // are there already after this, and sleeps only then.
  void Sleep() { asleep_.store(true, std::memory_order_seq_cst); }
  // The reader: is awake.
  void Heard() {
    asleep_.store(false, std::memory_order_relaxed);
    eventfd_t ignored;
    eventfd_read(fd_.get(), &ignored);
  }
  bool IsAsleep() const { return asleep_.load(std::memory_order_relaxed); }

  void Wake() { eventfd_write(fd_.get(), 1); }
  void WakeIfAsleep() {
    if (asleep_.load(std::memory_order_seq_cst) && asleep_.exchange(false)) {
      Wake();
    }
  }

 private:
  const UniqueFd fd_{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<bool> asleep_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_READER_WAKE_H_
