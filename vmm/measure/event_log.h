// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_EVENT_LOG_H_
#define PARKVMM_VMM_MEASURE_EVENT_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "vmm/base/file.h"
#include "vmm/measure/event.h"
#include "vmm/measure/event_ring.h"
#include "vmm/measure/reader_wake.h"

namespace vmm {

// Collects the events of all vCPUs in the order of their stamps and writes
// them as JSON Lines. Rings may be pushed to by their vCPU's thread at any
// time; everything else belongs to one thread.
class EventLog {
 public:
  // No more lines than this are written; the rest is counted as lost. What a
  // guest can make us write must have an end.
  static constexpr uint64_t kMaxLines = 4'000'000;

  // `max_lines`: fewer in tests.
  explicit EventLog(std::vector<uint64_t> mpidrs,
                    uint64_t max_lines = kMaxLines);

  EventRing& ring(uint32_t vcpu) { return *rings_[vcpu]; }
  // For one thread that is no vCPU's.
  EventRing& observers_ring() { return *rings_.back(); }
  // Readable when a ring fills up, and after Sleep(): Drain() soon. For poll().
  int fd() const { return wake_.fd(); }

  // Asks that the next event makes fd() readable. Returns whether there is none
  // yet, so that the caller may sleep; else the next Drain() has it.
  bool Sleep();
  bool IsAsleep() const { return wake_.IsAsleep(); }
  // Any thread: ends a Sleep() as an event does.
  void WakeIfAsleep() { wake_.WakeIfAsleep(); }

  // Writes lines to `path` from now on: to an empty file, or to its end.
  absl::Status WriteTo(const std::string& path, bool append);
  // Calls `each`, in order, with every event stamped before `until_ns`, and
  // writes its line. A vCPU may be between its stamp and its push, so callers
  // stay a little behind the clock until all vCPUs have stopped. After an error
  // of the file every later call returns it, too.
  absl::Status Drain(int64_t until_ns,
                     const std::function<void(const Event&)>& each);
  uint64_t lost() const;

 private:
  void Gather();  // What there is, into pending_.
  std::string Line(const Event& event) const;

  const std::vector<uint64_t> mpidrs_;
  const uint64_t max_lines_;
  ReaderWake wake_;
  std::vector<std::unique_ptr<EventRing>> rings_;
  std::vector<Event> pending_;  // Drained, not yet old enough.
  std::optional<FileStream> file_;
  uint64_t lines_ = 0;
  uint64_t lost_lines_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_EVENT_LOG_H_
