// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_EVENT_LOOP_H_
#define PARKVMM_VMM_BASE_EVENT_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace vmm {

// Waits for file descriptors and calls their handlers. One thread owns the loop
// and calls everything in it; handlers may call the loop. The loop does not own
// the descriptors, which must stay open while it runs.
//
// One round is: wait; call the handlers whose descriptors are ready, in the
// order in which they were added; call the tick if it is due; call the handler
// that ends each round.
class EventLoop {
 public:
  using Handler = std::function<absl::Status()>;
  enum class Id : size_t {};

  // `now_ns` is the clock of the tick; tests bring their own.
  explicit EventLoop(std::function<int64_t()> now_ns = MonotonicNs);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Calls `handler` in each round in which `fd` is ready for `events` (POLLIN,
  // POLLOUT) or has failed. `name` is in the message of an error that the
  // handler returns. A null handler only ends the wait. Handlers are enabled
  // when they are added. A negative `fd` is one that the host did not give:
  // nothing would ever end that wait, so rounds fail with kResourceExhausted.
  Id Add(std::string name, int fd, short events, Handler handler);
  // A disabled handler is not waited for and not called, not even in the round
  // in which an earlier handler disables it.
  void Enable(Id id, bool enabled);
  // Calls `handler` once per period: a round begins no later than the tick's
  // deadline, however quiet the descriptors are. A tick that is late moves the
  // ticks after it.
  void SetTick(int64_t period_ns, Handler handler);
  // Puts the next tick off, or forward, to `at_ns`; those after it come at the
  // period again.
  void SetNextTick(int64_t at_ns) { deadline_ns_ = at_ns; }
  // Calls `handler` at the end of each round.
  void SetRoundEnd(Handler handler);

  // Runs rounds until Stop() or until a handler returns an error, and returns
  // that error.
  absl::Status Run();
  absl::Status RunRound();
  // Run() returns after the present round, or after one round if it is called
  // later.
  void Stop() { stopped_ = true; }

  static int64_t MonotonicNs();
  // Returns how many ms poll() waits for a tick that is due in `left_ns`, or
  // was. Rounds up, so that the tick is due when the wait ends.
  static int PollTimeoutMs(int64_t left_ns);

 private:
  struct Source {
    std::string name;
    int fd;
    short events;
    Handler handler;
    bool enabled = true;
    bool ready = false;
  };

  absl::Status Wait();
  absl::Status CallTick();
  int TimeoutMs() const;

  const std::function<int64_t()> now_ns_;
  std::vector<Source> sources_;  // By Id.
  std::string lacking_;          // The first one without a descriptor.
  Handler tick_;
  int64_t period_ns_ = 0;
  int64_t deadline_ns_ = 0;  // Of the next tick.
  Handler round_end_;
  bool stopped_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_EVENT_LOOP_H_
