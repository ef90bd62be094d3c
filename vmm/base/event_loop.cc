// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/event_loop.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int kForever = -1;
constexpr int kNobody = -1;  // poll() skips it.

}  // namespace

int64_t EventLoop::MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

EventLoop::EventLoop(std::function<int64_t()> now_ns)
    : now_ns_(std::move(now_ns)) {}

EventLoop::Id EventLoop::Add(std::string name, int fd, short events,
                             Handler handler) {
  if (fd < 0 && lacking_.empty()) lacking_ = name;
  sources_.push_back({.name = std::move(name),
                      .fd = fd,
                      .events = events,
                      .handler = std::move(handler)});
  return Id{sources_.size() - 1};
}

void EventLoop::Enable(Id id, bool enabled) {
  sources_[static_cast<size_t>(id)].enabled = enabled;
}

void EventLoop::SetTick(int64_t period_ns, Handler handler) {
  tick_ = std::move(handler);
  period_ns_ = period_ns;
  deadline_ns_ = now_ns_() + period_ns;
}

void EventLoop::SetRoundEnd(Handler handler) {
  round_end_ = std::move(handler);
}

absl::Status EventLoop::Run() {
  do {
    RETURN_IF_ERROR(RunRound());
  } while (!stopped_);
  return absl::OkStatus();
}

absl::Status EventLoop::RunRound() {
  if (!lacking_.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "this host gave the VMM no file descriptor to hear of: ", lacking_,
        "; raise its limit with ulimit -n"));
  }
  RETURN_IF_ERROR(Wait());
  // By index: a handler may add sources.
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (!std::exchange(sources_[i].ready, false) || !sources_[i].enabled ||
        !sources_[i].handler) {
      continue;
    }
    const Handler handler = sources_[i].handler;
    if (const absl::Status status = handler(); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(sources_[i].name, ": ",
                                                      status.message()));
    }
  }
  RETURN_IF_ERROR(CallTick());
  return round_end_ ? round_end_() : absl::OkStatus();
}

absl::Status EventLoop::Wait() {
  std::vector<pollfd> fds;
  fds.reserve(sources_.size());
  for (const Source& source : sources_) {
    fds.push_back(
        {.fd = source.enabled ? source.fd : kNobody, .events = source.events});
  }
  if (poll(fds.data(), fds.size(), TimeoutMs()) < 0) {
    if (errno != EINTR) return ErrnoStatus("poll");
    return absl::OkStatus();  // A signal: nothing is ready.
  }
  for (size_t i = 0; i < fds.size(); ++i) {
    sources_[i].ready = fds[i].revents != 0;
  }
  return absl::OkStatus();
}

int EventLoop::TimeoutMs() const {
  return tick_ ? PollTimeoutMs(deadline_ns_ - now_ns_()) : kForever;
}

int EventLoop::PollTimeoutMs(int64_t left_ns) {
  const int64_t left = std::max<int64_t>(left_ns, 0);
  return static_cast<int>(
      std::min<int64_t>((left + kNsPerMs - 1) / kNsPerMs, INT_MAX));
}

absl::Status EventLoop::CallTick() {
  if (!tick_) return absl::OkStatus();
  const int64_t now = now_ns_();
  if (now < deadline_ns_) return absl::OkStatus();
  deadline_ns_ = now + period_ns_;
  return tick_();
}

}  // namespace vmm
