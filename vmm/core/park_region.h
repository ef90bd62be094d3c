// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CORE_PARK_REGION_H_
#define PARKVMM_VMM_CORE_PARK_REGION_H_

#include <atomic>
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
#include "vmm/core/diagnosis_log.h"
#include "vmm/core/event_log.h"
#include "vmm/core/guest_store.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/memory/guarded_window.h"

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
    return armed_.load(std::memory_order_seq_cst) && !cpus_[Index(self)].armed;
  }
  absl::Status Watch(psci::VcpuId self, Vcpu& vcpu);

  struct Outcome {
    bool parks = false;            // PowerOff(kPage), then Announce().
    std::optional<VcpuExit> then;  // To be dispatched as well.
  };
  // After StoreRefused or a watched store.
  absl::StatusOr<Outcome> OnStore(psci::VcpuId self, Vcpu& vcpu,
                                  const VcpuExit& exit);
  // The CPU is off: whoever waits for its magic may see it.
  void Announce(psci::VcpuId self);
  // The CPU is on again, whoever started it.
  void Leave(psci::VcpuId self);

  // --- Any thread -----------------------------------------------------------

  // Looks at pages that nothing happens to. Now and then.
  void Inspect();
  // No vCPU waits for another any more.
  void Shutdown();

 private:
  static constexpr uint32_t kNobody = UINT32_MAX;

  struct Page {
    uint32_t occupant = kNobody;
    bool released = false;  // Its CPU has left since it was prepared.
    bool noted = false;     // That it is not as it should be.
  };
  struct Cpu {
    bool armed = false;      // Written by its own thread, under mutex_.
    bool announced = false;  // Since it parked.
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
  GuestRange HostPageOf(GuestAddress address) const;
  // A page of the smallest size for each CPU.
  GuestRange PagesOfAll() const;
  size_t HostIndex(GuestAddress address) const;

  absl::Status AwaitArmed(psci::VcpuId self, Vcpu& vcpu);
  // All with mutex_ held.
  absl::StatusOr<Outcome> Apply(psci::VcpuId self, Vcpu& vcpu,
                                const GuestStore& store);
  // Whether the CPU parks by it.
  absl::StatusOr<bool> ApplyOne(psci::VcpuId self, GuestAddress code,
                                const GuestStore::Data& data);
  absl::StatusOr<Outcome> LetThrough(psci::VcpuId self, Vcpu& vcpu,
                                     const GuestStore& store, bool refused);
  absl::StatusOr<Outcome> StepOver(psci::VcpuId self, Vcpu& vcpu,
                                   const GuestStore& store);
  absl::Status Enter(psci::VcpuId self, GuestAddress page);
  // Whether `exit` is dealt with; else it belongs into the page.
  bool TakeExit(Page& page, GuestAddress address, uint64_t exit,
                psci::VcpuId by);
  void Vacate(Page& page, GuestAddress address);
  bool HasClosedVacant() const;
  absl::Status OpenVacant();
  absl::Status Close(GuestRange part);
  absl::Status CloseOccupied();
  void Note(psci::ParkFault fault, psci::VcpuId who, GuestAddress place,
            uint64_t value);

  const ParkPlacement placement_;
  const GuestRange watched_;
  const Machine machine_;
  std::atomic<bool> armed_ = false;
  std::atomic<bool> all_armed_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  GuardedWindow window_;
  std::vector<Page> pages_;
  const std::unique_ptr<Cpu[]> cpus_;
  std::vector<uint32_t> occupants_;  // By page of the host.
  std::vector<bool> closed_;         // Likewise.
  uint32_t parked_ = 0;
  uint64_t loop_ = 0;  // The first bytes of this round's loop.
  int64_t first_park_ns_ = 0;
  bool stopped_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_CORE_PARK_REGION_H_
