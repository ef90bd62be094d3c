// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_PARK_REGION_H_
#define PARKVMM_VMM_PARK_PARK_REGION_H_

#include <atomic>
#include <bitset>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "psci-emul/park_slots.h"
#include "psci-emul/power_table.h"
#include "vmm/base/clock.h"
#include "vmm/boot/park_placement.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/measure/event_log.h"
#include "vmm/park/diagnosis_log.h"
#include "vmm/park/guarded_window.h"
#include "vmm/park/guest_store.h"

namespace vmm {

// The park pages, played by the host: a CPU that stores its magic leaves the
// guest, and a store to exit starts it.
//
// The guest's own code does both, so the stores have to be seen. While nobody
// is parked the pages are plain RAM, and each vCPU watches its own stores to
// them (hardware watchpoint): the parking CPU has its MMU off, so the virtual
// address is the physical one. From the first CPU that parks on the window is
// read-only: the page tables of whoever releases are its own affair, and a
// store gets here wherever it is mapped. A store that can be read is done here;
// any other instruction is stepped over with the window open, and then the
// pages are looked at. So a release is latched at the instruction that stores
// it, and what the kernel does to the page afterwards cannot lose it.
//
// A watched vCPU is slow where Linux brings it up, which writes each of its
// debug registers. So the window is closed when one is released, and that one
// need not watch until it is opened again. What always holds: while the guest
// can write to a page, every vCPU that runs watches, but for one that has just
// been released, until the pages are closed behind it; its own is closed.
//
// README.md has what each of these costs, and what else was tried.
class ParkRegion {
 public:
  struct Machine {  // Outlives the region.
    const GuestMemory& memory;
    psci::PowerTable& power;
    psci::JudgeEntry judge;
    DiagnosisLog& diagnoses;
    EventLog& events;
    const Clock& clock;
    std::function<void(uint32_t vcpu)> nudge;  // Any thread.
  };

  // Before a vCPU runs.
  static absl::StatusOr<std::unique_ptr<ParkRegion>> Create(
      const ParkPlacement& placement, Machine machine);

  // --- On the vCPU's own thread -------------------------------------------

  // Before each Run(): true if it has to Watch() first.
  bool NeedsWatch(psci::VcpuId self) const {
    return must_watch_.load(std::memory_order_seq_cst) &&
           !cpus_[Index(self)].watches;
  }
  absl::Status Watch(psci::VcpuId self, Vcpu& vcpu);
  // While it is off.
  absl::Status EndWatch(psci::VcpuId self, Vcpu& vcpu);

  struct Outcome {
    bool parks = false;            // PowerOff(kPage), then Announce().
    std::optional<VcpuExit> then;  // To be dispatched as well.
  };
  // After StoreRefused or a watched store.
  absl::StatusOr<Outcome> OnStore(psci::VcpuId self, Vcpu& vcpu,
                                  const VcpuExit& exit);
  // The CPU is off: whoever waits for its magic may see it.
  absl::Status Announce(psci::VcpuId self);
  // The CPU is on again, whoever started it.
  void Leave(psci::VcpuId self);

  // --- Any thread -----------------------------------------------------------

  // Looks at pages that nothing happens to. Now and then.
  void Inspect();
  // No vCPU waits for another any more.
  void Shutdown();

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;

  using Lock = std::unique_lock<std::mutex>;
  // What is opened and closed as one, by number from the window on: a page of
  // the host, or several where a guest with larger pages has a large window.
  // Sets that are copied in a few words, for everybody waits meanwhile.
  static constexpr size_t kMaxBlocks = 1024;
  using Blocks = std::bitset<kMaxBlocks>;

  struct Page {
    uint32_t occupant = kNobody;
    uint64_t loop = 0;      // Its first bytes, when its CPU came.
    bool released = false;  // Its CPU has left since it was prepared.
    bool noted = false;     // That it is not as it should be.
  };
  struct Cpu {
    bool watches = false;    // Written by its own thread, under mutex_.
    bool off = false;        // Since it parked;
    bool announced = false;  // and its magic is there for all to see.
    std::optional<GuestAddress> page;
    // Whether Leave() has to look: a CPU that was released need not wait for
    // mutex_, which who released it holds.
    std::atomic<bool> in_page = false;
  };

  ParkRegion(const ParkPlacement& placement, GuardedWindow window,
             Machine machine);

  // nullptr outside the pages (in a guard, or anywhere else).
  Page* Find(GuestAddress page);
  GuestAddress PageAt(size_t index) const;
  size_t BlockOf(GuestAddress address) const;

  // With mutex_ held; these let go of it for a while.
  absl::Status AwaitWatchers(psci::VcpuId self, Vcpu& vcpu, Lock& lock);
  // Whether there was anything to open. `target`: of the store, if known.
  absl::StatusOr<bool> OpenVacant(psci::VcpuId self, Vcpu& vcpu,
                                  std::optional<GuestAddress> target,
                                  Lock& lock);
  absl::StatusOr<Outcome> Apply(psci::VcpuId self, Vcpu& vcpu,
                                const GuestStore& store, Lock& lock);
  absl::StatusOr<Outcome> LetThrough(psci::VcpuId self, Vcpu& vcpu,
                                     const GuestStore& store, bool refused,
                                     Lock& lock);
  absl::Status CloseForNewcomers(Lock& lock);

  // With mutex_ held throughout.
  // Whether it went where nobody is.
  absl::StatusOr<bool> ApplyOne(psci::VcpuId self,
                                const GuestStore::Data& data);
  absl::StatusOr<Outcome> StepOver(psci::VcpuId self, Vcpu& vcpu,
                                   const GuestStore& store);
  bool IsMagicOf(const GuestStore& store) const;
  Outcome Enter(psci::VcpuId self, GuestAddress page);
  bool AllHaveCome() const;
  absl::Status AnnounceNow(psci::VcpuId self);
  // Whether `exit` is dealt with; else it belongs into the page.
  absl::StatusOr<bool> TakeExit(Page& page, GuestAddress address, uint64_t exit,
                                psci::VcpuId by);
  void Occupy(GuestAddress address);
  void Vacate(Page& page, GuestAddress address);
  Blocks ToOpen(std::optional<GuestAddress> target) const;
  absl::Status SetWritable(const Blocks& blocks, bool writable);
  void HasClosed(const Blocks& blocks);
  void Note(psci::ParkFault fault, psci::VcpuId who, GuestAddress place,
            uint64_t value);

  const ParkPlacement placement_;
  const GuestRange watched_;
  const uint64_t block_bytes_;
  const Machine machine_;
  std::atomic<bool> must_watch_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  GuardedWindow window_;
  std::vector<Page> pages_;
  const std::unique_ptr<Cpu[]> cpus_;
  Blocks all_blocks_;
  std::vector<uint32_t> occupants_;  // By block;
  Blocks occupied_;                  // those that have any.
  // What the guest can write to, or what TakeExit() is about to close: not
  // where CPUs are parked, nor what nobody has written to since they came.
  Blocks writable_;
  uint32_t openers_ = 0;  // They wait until all watch.
  uint32_t parked_ = 0;
  uint64_t arrivals_ = 0;
  uint64_t loop_ = 0;  // The first bytes of this round's loop.
  int64_t first_park_ns_ = 0;
  bool closing_ = false;  // Somebody closes pages, without the lock.
  bool stopped_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_PARK_REGION_H_
