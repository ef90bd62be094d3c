// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_EVENT_RING_H_
#define PARKVMM_VMM_MEASURE_EVENT_RING_H_

#include <sys/eventfd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "psci-emul/psci_abi.h"
#include "vmm/measure/event.h"

namespace vmm {

// One vCPU's events on their way to whoever writes them: bounded, without a
// lock, without an allocation. One thread pushes, one thread drains, and is
// woken when a quarter of it is used. When it is full, events are lost and
// counted: a guest that calls PSCI in a loop costs neither memory nor time. One
// half is not for AFFINITY_INFO: who waits for a CPU asks in a loop, and must
// not lose the mark that comes then.
class EventRing {
 public:
  static constexpr size_t kCapacity = 8192;

  // `wake_fd`: an eventfd, not owned.
  explicit EventRing(int wake_fd)
      : events_(std::make_unique_for_overwrite<Event[]>(kCapacity)),
        wake_fd_(wake_fd) {}

  // The vCPU's thread.
  void Push(const Event& event) {
    const size_t end = end_.load(std::memory_order_relaxed);
    const size_t used = end - begin_.load(std::memory_order_acquire);
    if (used >= (IsPolling(event) ? kCapacity / 2 : kCapacity)) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    events_[end % kCapacity] = event;
    end_.store(end + 1, std::memory_order_release);
    if (used == kCapacity / 4) eventfd_write(wake_fd_, 1);
  }

  // The draining thread: appends what there is to `out`, oldest first.
  void Drain(std::vector<Event>& out) {
    const size_t begin = begin_.load(std::memory_order_relaxed);
    const size_t end = end_.load(std::memory_order_acquire);
    for (size_t i = begin; i != end; ++i) {
      out.push_back(events_[i % kCapacity]);
    }
    begin_.store(end, std::memory_order_release);
  }

  // Any thread.
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  static bool IsPolling(const Event& event) {
    return event.kind == Event::Kind::kPsci &&
           (event.function == PSCI_AFFINITY_INFO_32 ||
            event.function == PSCI_AFFINITY_INFO_64);
  }

  const std::unique_ptr<Event[]> events_;
  const int wake_fd_;
  std::atomic<size_t> begin_ = 0;
  std::atomic<size_t> end_ = 0;
  std::atomic<uint64_t> lost_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_EVENT_RING_H_
