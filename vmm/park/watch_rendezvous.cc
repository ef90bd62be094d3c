// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/watch_rendezvous.h"

#include <bit>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

using psci::Index;
using psci::VcpuId;

// How often a wait looks whether it is over without having been notified. A
// stop takes no lock, so a waiter may miss its notification.
constexpr std::chrono::milliseconds kTick(1);

GuestRange WatchableAround(GuestRange range) {
  const uint64_t differs = range.base().value() ^ range.last().value();
  const uint64_t size = uint64_t{1} << std::bit_width(differs);
  return *GuestRange::Make(GuestAddress(range.base().value() & ~(size - 1)),
                           size);
}

}  // namespace

WatchRendezvous::WatchRendezvous(GuestRange window, Deps deps)
    : watched_(WatchableAround(window)),
      deps_(std::move(deps)),
      vcpus_(deps_.power.size()),
      watches_(std::make_unique<std::atomic<bool>[]>(vcpus_)) {}

absl::Status WatchRendezvous::Watch(VcpuId self, Vcpu& vcpu) {
  RETURN_IF_ERROR(vcpu.WatchStores(watched_));
  const MutexLock lock(mutex_);
  watches_[Index(self)] = true;
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status WatchRendezvous::EndWatch(VcpuId self, Vcpu& vcpu) {
  if (!watches_[Index(self)]) return absl::OkStatus();
  {
    const MutexLock lock(mutex_);
    watches_[Index(self)] = false;
  }
  return vcpu.EndDebug();
}

absl::Status WatchRendezvous::Restore(VcpuId self, Vcpu& vcpu) {
  return watches_[Index(self)] ? vcpu.WatchStores(watched_) : vcpu.EndDebug();
}

bool WatchRendezvous::IsAwaited(uint32_t vcpu) const {
  return !watches_[vcpu] && !stopped_ &&
         deps_.power.StateOf(VcpuId{vcpu}) == psci::PowerState::kOn;
}

void WatchRendezvous::BeginOpening() {
  const MutexLock lock(mutex_);
  ++openings_;
  deps_.must_watch = true;
}

// A vCPU in the guest is called out. One that is off sees must_watch before it
// enters.
absl::Status WatchRendezvous::AwaitAll(VcpuId self, Vcpu& vcpu) {
  if (!watches_[Index(self)]) RETURN_IF_ERROR(Watch(self, vcpu));
  const auto end = std::chrono::steady_clock::now() + deps_.limit;
  for (uint32_t i = 0; i < vcpus_; ++i) {
    if (!IsAwaited(i)) continue;
    deps_.nudge(i);
    const MutexLock lock(mutex_);
    while (IsAwaited(i)) {
      if (std::chrono::steady_clock::now() >= end) {
        return absl::InternalError(absl::StrFormat(
            "waited %d s for vCPU %d to leave the guest and watch its park "
            "page",
            deps_.limit.count(), i));
      }
      changed_.WaitFor(mutex_, kTick);
    }
  }
  return absl::OkStatus();
}

void WatchRendezvous::EndOpening(bool any_writable) {
  const MutexLock lock(mutex_);
  --openings_;
  if (!any_writable) deps_.must_watch = openings_ != 0;
}

void WatchRendezvous::AllClosed() {
  const MutexLock lock(mutex_);
  deps_.must_watch = openings_ != 0;
}

void WatchRendezvous::RequestStop() {
  stopped_ = true;
  changed_.NotifyAll();
}

}  // namespace vmm
