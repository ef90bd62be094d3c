// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_PARK_REGION_H_
#define PARKVMM_VMM_PARK_PARK_REGION_H_

#include <atomic>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "psci-emul/park_slots.h"
#include "psci-emul/power_table.h"
#include "vmm/base/clock.h"
#include "vmm/base/mutex.h"
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
// Opening the window, closing it, and the instruction that is stepped over
// while it is open exclude each other. Whoever does one of them marks the
// window as busy and lets go of the lock, so that no lock is held while a vCPU
// runs or the host changes its page tables.
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
           !flags_[Index(self)].watches.load(std::memory_order_relaxed);
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

  // Looks at pages that nothing happens to, and ends a step that lasts. Now and
  // then.
  void Inspect();
  // No vCPU waits for another any more. Takes no lock. Callers kick the vCPUs
  // first.
  void Shutdown();

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;

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
    bool off = false;        // It has left the guest since it parked.
    bool announced = false;  // The guest can see its magic.
    std::optional<GuestAddress> page;
  };
  // Written with mutex_ held, read by the CPU's own thread without it.
  struct Flags {
    std::atomic<bool> watches = false;  // Written by its own thread.
    // Whether Leave() has to look: a CPU that was released need not wait for
    // mutex_.
    std::atomic<bool> in_page = false;
  };

  ParkRegion(const ParkPlacement& placement, GuardedWindow window,
             Machine machine);

  // nullptr outside the pages (in a guard, or anywhere else).
  Page* Find(GuestAddress page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  GuestAddress PageAt(size_t index) const;
  size_t BlockOf(GuestAddress address) const;
  absl::Status SetWritable(const Blocks& blocks, bool writable);
  bool IsMagicOf(const GuestStore& store) const;
  void Note(psci::ParkFault fault, psci::VcpuId who, GuestAddress place,
            uint64_t value);

  // Returns whether there was anything to open. `target`: of the store, if
  // known.
  absl::StatusOr<bool> OpenVacant(psci::VcpuId self, Vcpu& vcpu,
                                  std::optional<GuestAddress> target);
  absl::StatusOr<Outcome> Apply(psci::VcpuId self, Vcpu& vcpu,
                                const GuestStore& store);
  absl::StatusOr<Outcome> LetThrough(psci::VcpuId self, Vcpu& vcpu,
                                     const GuestStore& store, bool refused);
  absl::StatusOr<VcpuExit> RunOneInstruction(psci::VcpuId self, Vcpu& vcpu,
                                             const Blocks& closed);

  // These let go of mutex_ for a while.
  //
  // Blocks for a moment, or until something has changed.
  void AwaitChange() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Blocks until nobody else is busy with the window, and makes it the caller's
  // until EndWork(). Returns false if the machine stops.
  bool BeginWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AwaitWatchers(psci::VcpuId self, Vcpu& vcpu)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Between BeginWork() and EndWork(). These let go of mutex_, too.
  absl::Status SetWritableUnlocked(const Blocks& blocks, bool writable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns whether the page that the store went to is vacant.
  absl::StatusOr<bool> ApplyOne(psci::VcpuId self, const GuestStore::Data& data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> ApplyBoth(psci::VcpuId self, const GuestStore& store)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Outcome> StepOver(psci::VcpuId self, Vcpu& vcpu,
                                   const GuestStore& store)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeStoredExits(psci::VcpuId self)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CloseForNewcomers(psci::VcpuId self)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AnnounceNow(psci::VcpuId self, psci::VcpuId cpu)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns whether `exit` is dealt with; else it belongs into the page. `self`
  // is the thread's vCPU, `by` the one that stored it.
  absl::StatusOr<bool> TakeExit(psci::VcpuId self, psci::VcpuId by,
                                GuestAddress address, uint64_t exit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // With mutex_ held throughout.
  Outcome Enter(psci::VcpuId self, GuestAddress page)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsAwaited(uint32_t cpu) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllHaveCome() const;
  void Occupy(GuestAddress address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Vacate(Page& page, GuestAddress address)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Blocks ToOpen(std::optional<GuestAddress> target) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HasClosed(const Blocks& blocks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLongStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ParkPlacement placement_;
  const GuestRange watched_;
  const uint64_t block_bytes_;
  const Machine machine_;
  GuardedWindow window_;
  const std::unique_ptr<Flags[]> flags_;
  std::atomic<bool> must_watch_ = false;
  std::atomic<bool> stopped_ = false;
  Blocks all_blocks_;

  // Taken before the locks of DiagnosisLog and of a vCPU's Nudge().
  Mutex mutex_;
  CondVar changed_;
  std::vector<Page> pages_ ABSL_GUARDED_BY(mutex_);
  std::vector<Cpu> cpus_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> occupants_ ABSL_GUARDED_BY(mutex_);  // By block.
  Blocks occupied_ ABSL_GUARDED_BY(mutex_);  // Blocks with an occupant.
  // What the guest can write to, or what TakeExit() is about to close: not
  // where CPUs are parked, nor what nobody has written to since they came.
  Blocks writable_ ABSL_GUARDED_BY(mutex_);
  // CPUs that wait until all watch, or that are about to open something.
  uint32_t openers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t parked_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t arrivals_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first bytes of this round's loop.
  uint64_t loop_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t first_park_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  // A thread is between BeginWork() and EndWork().
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  // That thread closes pages for the CPUs that have just parked.
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  // That thread's vCPU, while it runs one instruction.
  std::optional<uint32_t> stepper_ ABSL_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point step_began_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_PARK_REGION_H_
