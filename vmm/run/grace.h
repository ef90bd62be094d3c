// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_GRACE_H_
#define PARKVMM_VMM_RUN_GRACE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "vmm/machine/stop.h"
#include "vmm/run/console_watch.h"

namespace vmm {

// What the guest has said, weighed against what it does: a phrase alone is no
// end. A kernel that has panicked or halted is taken at its word once it has
// given no sign of life for a while. One thread.
class Grace {
 public:
  // `panic_ns`: how long after a panic; after a halt it is a second, for that
  // kernel has nothing left to do.
  Grace(const ConsoleWatch& watch, int64_t panic_ns)
      : watch_(watch), panic_ns_(panic_ns) {}

  // The guest printed something, called PSCI or made a mark.
  void NoteLife(int64_t now_ns) { life_ns_ = now_ns; }
  // `watch` may have a panic, or none any more. `stamp_ns`: now, as events are
  // stamped.
  void NotePanic(int64_t stamp_ns);
  // Whether it had panicked when an event came: they are seen later than what
  // is printed.
  bool HadPanicked(int64_t stamp_ns) const {
    return panicked_at_ && stamp_ns >= *panicked_at_;
  }

  // When it is over, if the guest has said such a thing.
  std::optional<int64_t> End() const;
  // Why the machine is to stop now.
  std::optional<StopReason::Kind> Over(int64_t now_ns) const;
  // The line of its panic, unless the guest outlived it: a kernel that panicked
  // does not power off, and one that says so in words only goes on printing
  // until the run is over. `end`: how it ended.
  std::string Panic(StopReason::Kind end, int64_t now_ns) const;

 private:
  const ConsoleWatch& watch_;
  const int64_t panic_ns_;
  int64_t life_ns_ = 0;
  std::optional<int64_t> panicked_at_;  // As events are stamped.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_GRACE_H_
