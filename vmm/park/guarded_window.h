// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_GUARDED_WINDOW_H_
#define PARKVMM_VMM_PARK_GUARDED_WINDOW_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace vmm {

// A part of guest RAM to which the guest's stores can be stopped, page of the
// host by page: KVM_RUN then fails with EFAULT before the store is done. Loads
// and instruction fetches go on. The VMM has a mapping of its own and reads and
// writes all the time. Any thread; the guest writes concurrently.
class GuardedWindow {
 public:
  // Takes the place of that part of `memory`, whatever is in it, before a vCPU
  // runs. `range`: whole pages of the host. Must not outlive `memory`.
  static absl::StatusOr<GuardedWindow> Make(const GuestMemory& memory,
                                            GuestRange range);
  GuardedWindow(GuardedWindow&& other) noexcept;
  GuardedWindow& operator=(GuardedWindow&&) = delete;
  ~GuardedWindow();

  GuestRange range() const { return range_; }
  // Bytes of a page of the host.
  static uint64_t HostPage();

  // `part`: whole pages of the host, inside the window.
  absl::Status SetWritable(GuestRange part, bool writable);

  // `address` is inside, and aligned to 8. What a CPU with its MMU off wrote
  // is seen, and it sees what is written here, also where KVM does not force
  // write-back (FEAT_S2FWB).
  uint64_t Load(GuestAddress address) const;
  void Store(GuestAddress address, uint64_t value);
  // 1, 2, 4 or 8 bytes that cross no such boundary.
  void Store(GuestAddress address, unsigned size, uint64_t value);

  // Which pages of the host anybody has touched, in order.
  std::vector<bool> Touched() const;

 private:
  GuardedWindow(GuestRange range, void* guest_side, void* our_side)
      : range_(range), guest_side_(guest_side), our_side_(our_side) {}
  uint8_t* At(GuestAddress address) const;

  const GuestRange range_;
  void* const guest_side_;  // Owned by the GuestMemory.
  void* our_side_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_GUARDED_WINDOW_H_
