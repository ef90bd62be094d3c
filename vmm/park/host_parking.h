// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_HOST_PARKING_H_
#define PARKVMM_VMM_PARK_HOST_PARKING_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "psci-emul/park_pages.h"
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
#include "vmm/park/parking.h"
#include "vmm/park/watch_rendezvous.h"
#include "vmm/park/window_turn.h"
#include "vmm/park/writable_blocks.h"

namespace vmm {

// The park pages, played by the host: a CPU that stores its magic leaves the
// guest, and a store to exit starts it.
//
// The guest's own code does both, so the stores have to be seen. While no CPU
// is parked the pages are plain RAM, and each vCPU watches its own stores to
// them (hardware watchpoint): the parking CPU has its MMU off, so the virtual
// address is the physical one. From the first CPU that parks on, the window is
// read-only, because the page tables of the kernel that releases are its own,
// and a refused store comes here wherever it is mapped. A store that can be
// decoded is done here. Any other instruction is stepped over with the window
// open, and then the pages are looked at. So a release is latched at the
// instruction that stores it, and what the kernel does to the page afterwards
// cannot lose it.
//
// A watching vCPU is slow where Linux brings it up, because Linux writes each
// of its debug registers. So the window is closed when a CPU is released, and
// that CPU need not watch until the window is opened again.
//
// ParkPages decides, WritableBlocks says what to open, WatchRendezvous waits
// until all watch, WindowTurn keeps those apart who change the window. This
// class does what they say to memory and CPUs. docs/parking.md says what each
// of these costs and what else was tried.
class HostParking final : public Parking {
 public:
  struct Deps {  // Outlive the parking.
    const GuestMemory& memory;
    psci::PowerTable& power;
    psci::ParkSlots& slots;
    psci::JudgeEntry judge;
    DiagnosisLog& diagnoses;
    EventLog& events;
    const Clock& clock;
    RunningVcpus vcpus;
  };

  // Before a vCPU runs. Errors are the host's: it cannot map the window.
  static absl::StatusOr<std::unique_ptr<HostParking>> Create(
      const ParkPlacement& placement, Deps deps);

  absl::StatusOr<StoreOutcome> OnStore(psci::VcpuId self, Vcpu& vcpu,
                                       const VcpuExit& exit) override;
  absl::Status Left(psci::VcpuId self, psci::Door door) override;
  absl::Status WhileOff(psci::VcpuId self, Vcpu& vcpu) override;
  void Entered(psci::VcpuId self) override;
  // Also ends a step that lasts.
  bool Inspect() override;
  void RequestStop() override;

 private:
  using Blocks = BlockMap::Set;

  HostParking(const ParkPlacement& placement, GuardedWindow window, Deps deps);

  absl::Status WatchBeforeRun(psci::VcpuId self, Vcpu& vcpu) override;

  // Returns the number of the page at this address; nullopt outside the pages:
  // in a guard, or anywhere else.
  std::optional<size_t> Find(GuestAddress page) const;
  GuestAddress PageAt(size_t index) const;
  bool IsMagicOf(const GuestStore& store) const;
  // Returns whether all have left but the one that sends the others away.
  bool AllHaveCome() const { return deps_.power.CountOn() <= 1; }
  absl::Status SetWritable(const Blocks& blocks, bool writable);
  void Note(psci::ParkFault fault, psci::VcpuId who, GuestAddress place,
            uint64_t value);
  void Record(Event::Kind kind, psci::VcpuId thread, psci::VcpuId who,
              absl::Span<const uint64_t> args);

  // --- Stores (host_parking_stores.cc)
  // ----------------------------------------

  // Does a store that was decoded.
  absl::StatusOr<StoreOutcome> Apply(psci::VcpuId self, Vcpu& vcpu,
                                     const GuestStore& store);
  // Handles a store that was not.
  absl::StatusOr<StoreOutcome> LetThrough(psci::VcpuId self, Vcpu& vcpu,
                                          const GuestStore& store,
                                          bool refused);
  // Opens what WritableBlocks says for this target. Returns whether there was
  // anything to open.
  absl::StatusOr<bool> OpenVacant(psci::VcpuId self, Vcpu& vcpu,
                                  std::optional<GuestAddress> target);
  absl::StatusOr<VcpuExit> RunOneInstruction(psci::VcpuId self, Vcpu& vcpu,
                                             const Blocks& closed);

  // In the caller's turn. These let go of mutex_ for a while.
  absl::Status SetWritableUnlocked(const Blocks& blocks, bool writable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Return whether the page that the store went to is vacant.
  absl::StatusOr<bool> ApplyBoth(psci::VcpuId self, const GuestStore& store)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> ApplyOne(psci::VcpuId self, const GuestStore::Data& data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<StoreOutcome> StepOver(psci::VcpuId self, Vcpu& vcpu,
                                        const GuestStore& store)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes what was stored to the exits of pages while no thread could see it.
  absl::Status TakeStoredExits(psci::VcpuId self)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // --- In and out (host_parking.cc)
  // --------------------------------------------

  // In the caller's turn. These let go of mutex_ for a while, too.
  absl::Status CloseForNewcomers(psci::VcpuId self)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Announce(psci::VcpuId self, psci::VcpuId cpu)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns whether `exit` is dealt with; else it belongs into the page. `self`
  // is the thread's vCPU, `by` the one that stored it.
  absl::StatusOr<bool> TakeExit(psci::VcpuId self, psci::VcpuId by, size_t page,
                                uint64_t exit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> Release(psci::VcpuId self, psci::VcpuId by, size_t page,
                               psci::VcpuId cpu, uint64_t exit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // With mutex_ held throughout.
  StoreOutcome Enter(psci::VcpuId self, GuestAddress page)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Occupy(psci::VcpuId self, GuestAddress page)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The page has no occupant any more: clears its magic.
  void Vacated(size_t page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes `self` out of its page if CPU_ON started it.
  void LeavePage(psci::VcpuId self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HasClosed(const Blocks& blocks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ParkPlacement placement_;
  const Deps deps_;
  const BlockMap map_;
  GuardedWindow window_;
  WatchRendezvous watchers_;
  // Whether Entered() has to look: a CPU that was released need not wait for
  // mutex_. Written with mutex_ held.
  const std::unique_ptr<std::atomic<bool>[]> in_page_;
  std::atomic<bool> stopped_ = false;
  CondVar changed_;

  // Taken before the locks of WatchRendezvous and DiagnosisLog.
  Mutex mutex_;
  WindowTurn turn_ ABSL_GUARDED_BY(mutex_);
  psci::ParkPages pages_ ABSL_GUARDED_BY(mutex_);
  // What the guest can write to, or what TakeExit() is about to close: not
  // where CPUs are parked, nor what nobody has written to since they came.
  WritableBlocks blocks_ ABSL_GUARDED_BY(mutex_);
  uint64_t arrivals_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t first_park_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  // The thread whose turn it is closes pages for the CPUs that have just
  // parked.
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_HOST_PARKING_H_
