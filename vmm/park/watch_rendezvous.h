// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_WATCH_RENDEZVOUS_H_
#define PARKVMM_VMM_PARK_WATCH_RENDEZVOUS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "psci-emul/power_table.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/mutex.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

// Which vCPUs watch their own stores to the park window, and the wait until
// all that run do.
//
// Invariant: while any page is writable, every running vCPU has its watchpoint
// set. Exception: a vCPU that was just released runs unwatched until the pages
// are closed; its own page is already closed.
class WatchRendezvous {
 public:
  struct Deps {  // Outlive the rendezvous.
    const psci::PowerTable& power;
    // Any thread: calls the vCPU out of the guest, once.
    std::function<void(uint32_t vcpu)> nudge;
    // Set while a vCPU has to watch before it runs.
    std::atomic<bool>& must_watch;
    // How long AwaitAll() waits. A running vCPU leaves the guest at once when
    // it is nudged.
    std::chrono::seconds limit = std::chrono::seconds(5);
  };

  // `window`: what has to be seen; each vCPU watches the smallest range around
  // it that a watchpoint can have.
  WatchRendezvous(GuestRange window, Deps deps);

  // --- On the vCPU's own thread ----------------------------------------------

  // Returns whether `self` has to call Watch() before it runs.
  bool NeedsWatch(psci::VcpuId self) const {
    return deps_.must_watch.load(std::memory_order_seq_cst) &&
           !watches_[psci::Index(self)].load(std::memory_order_relaxed);
  }
  absl::Status Watch(psci::VcpuId self, Vcpu& vcpu);
  // `self` is off: nobody waits for it.
  absl::Status EndWatch(psci::VcpuId self, Vcpu& vcpu);
  // Sets the debug state that Step() has replaced.
  absl::Status Restore(psci::VcpuId self, Vcpu& vcpu);

  // From here on, no vCPU runs without watching. Pairs with EndOpening().
  void BeginOpening();
  // Blocks until all that run watch; `self` too. Between the two above.
  // kInternal if one does not leave the guest within the limit.
  absl::Status AwaitAll(psci::VcpuId self, Vcpu& vcpu);
  // `any_writable`: whether the guest can write to a page now.
  void EndOpening(bool any_writable);

  // --- Any thread
  // --------------------------------------------------------------

  // No page is writable: no vCPU has to watch, unless some thread is about to
  // open one. Those that watch go on until they are off.
  void AllClosed();
  // Ends every wait. Takes no lock.
  void RequestStop();

 private:
  bool IsAwaited(uint32_t vcpu) const;

  const GuestRange watched_;
  const Deps deps_;
  const uint32_t vcpus_;
  // Written by the vCPU's own thread with mutex_ held, read without it.
  const std::unique_ptr<std::atomic<bool>[]> watches_;
  std::atomic<bool> stopped_ = false;
  Mutex mutex_;
  CondVar changed_;
  uint32_t openings_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_WATCH_RENDEZVOUS_H_
