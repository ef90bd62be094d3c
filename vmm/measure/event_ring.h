// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_EVENT_RING_H_
#define PARKVMM_VMM_MEASURE_EVENT_RING_H_

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "psci-emul/psci_abi.h"
#include "vmm/measure/event.h"
#include "vmm/measure/reader_wake.h"

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

  explicit EventRing(ReaderWake& reader) : events_(Map()), reader_(reader) {}
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;
  ~EventRing() { munmap(events_, kBytes); }

  // The vCPU's thread.
  void Push(const Event& event) {
    const size_t end = end_.load(std::memory_order_relaxed);
    const size_t used = end - begin_.load(std::memory_order_acquire);
    if (used == 0) first_ = end;
    if (used >= (IsPolling(event) ? kCapacity / 2 : kCapacity)) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    std::construct_at(&events_[(end - first_) % kCapacity], event);
    // Before it asks whether the reader sleeps, which the reader says before it
    // looks for events for the last time.
    end_.store(end + 1, std::memory_order_seq_cst);
    if (used == kCapacity / 4) reader_.Wake();
    reader_.WakeIfAsleep();
  }

  // The draining thread: appends what there is to `out`, oldest first.
  void Drain(std::vector<Event>& out) {
    const size_t begin = begin_.load(std::memory_order_relaxed);
    const size_t end = end_.load(std::memory_order_seq_cst);
    for (size_t i = begin; i != end; ++i) {
      out.push_back(events_[(i - first_) % kCapacity]);
    }
    begin_.store(end, std::memory_order_release);
  }

  // Any thread.
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kBytes = kCapacity * sizeof(Event);

  // Not malloc()'s, which would touch another page for its own use. And no huge
  // page, which the first event would touch for all rings.
  static Event* Map() {
    void* const mapped = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    madvise(mapped, kBytes, MADV_NOHUGEPAGE);
    return static_cast<Event*>(mapped);
  }
  static bool IsPolling(const Event& event) {
    return event.kind == Event::Kind::kPsci &&
           (event.function == PSCI_AFFINITY_INFO_32 ||
            event.function == PSCI_AFFINITY_INFO_64);
  }

  static_assert(std::is_trivially_destructible_v<Event>);

  // Half a megabyte, of which a page is touched when an event goes there. A
  // ring that was drained begins anew, so that it touches as many as it holds
  // at once, however many pass through it.
  Event* const events_;
  // Counted as begin_ and end_ are, which event lies in events_[0]. Of the
  // pushing thread, which changes it only while there is none to be drained.
  size_t first_ = 0;
  ReaderWake& reader_;
  std::atomic<size_t> begin_ = 0;
  std::atomic<size_t> end_ = 0;
  std::atomic<uint64_t> lost_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_EVENT_RING_H_
