// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_PARK_PAGES_H_
#define PARKVMM_PSCI_EMUL_PARK_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "psci-emul/park_fault.h"
#include "psci-emul/types.h"

namespace psci {

// What a store to a page's exit comes to.

// No CPU has come to the page yet: the value stays in the page.
struct ExitWaits {
  friend bool operator==(const ExitWaits&, const ExitWaits&) = default;
};
// The value is dropped. `cpu` is the one that stays parked; nullopt: none is.
struct ExitRefused {
  ParkFault fault;
  std::optional<VcpuId> cpu;
  friend bool operator==(const ExitRefused&, const ExitRefused&) = default;
};
// PowerTable::Release(cpu, Door::kPage), then ParkPages::Released().
struct ExitReleases {
  VcpuId cpu;
  friend bool operator==(const ExitReleases&, const ExitReleases&) = default;
};
using ExitOutcome = std::variant<ExitWaits, ExitRefused, ExitReleases>;

// Which CPU is parked in which page, and which stores are faults: the rules of
// the park pages (park_abi.h), for a host that plays them. Pages have numbers,
// in the order of their addresses.
//
// Decides; touches no memory and no CPU. The caller reads what the rules need
// to know of a page, and does to the page what they answer. Not thread-safe: a
// caller with threads holds one lock around each call. A value: copies can be
// compared, so that a test can explore every order of calls.
//
//   Enter -> (the CPU is off) TurnedOff -> Announce -> OnExit, Released
//                                                   or Leave, by CPU_ON
class ParkPages {
 public:
  ParkPages(uint32_t cpus, size_t pages) : cpus_(cpus), pages_(pages) {}

  size_t size() const { return pages_.size(); }
  // Returns how many CPUs are in pages.
  uint32_t parked() const { return parked_; }
  std::optional<VcpuId> OccupantOf(size_t page) const {
    return pages_[page].occupant;
  }
  // Returns the page that `cpu` is parked in; nullopt for one that is in none.
  std::optional<size_t> PageOf(VcpuId cpu) const {
    return cpus_[Index(cpu)].page;
  }

  // --- In -------------------------------------------------------------------

  struct Arrival {
    bool occupies = false;  // The page is its own from here on.
    std::optional<ParkFault> fault;
    uint64_t value = 0;  // Of the fault.
    friend bool operator==(const Arrival&, const Arrival&) = default;
  };
  // `self`, which is in no page, has stored its magic from the loop of `page`,
  // whose first bytes are `loop`. It is about to turn itself off, also where it
  // does not occupy the page: only CPU_ON starts it then.
  Arrival Enter(VcpuId self, size_t page, uint64_t loop);
  // Likewise, from a loop that is in no page of a CPU.
  void EnterBeside(VcpuId self);
  // `self` is off for the PowerTable.
  void TurnedOff(VcpuId self) { cpus_[Index(self)].off = true; }
  // Returns the CPUs that are off and not announced yet.
  std::vector<VcpuId> Unannounced() const;
  // `cpu` may be seen parked. Returns the page that shows its magic from here
  // on; nullopt if it has none, or if it was announced or started meanwhile.
  // If the page's exit is not 0, the caller clears it and calls OnExit().
  std::optional<size_t> Announce(VcpuId cpu);

  // --- Out ------------------------------------------------------------------

  // `exit`, not 0, is stored to the exit of `page`. `bad_entry`: what is wrong
  // with it as an address to start at, if anything.
  ExitOutcome OnExit(size_t page, std::optional<ParkFault> bad_entry) const;

  enum class AfterRelease {
    kVacant,   // The page's magic is cleared.
    kWaits,    // The CPU is not off yet: exit stays in the page.
    kTooLate,  // CPU_ON was first: likewise vacant, and kDoubleRelease.
  };
  // `started`: what PowerTable::Release() said to ExitReleases.
  AfterRelease Released(size_t page, bool started);

  struct Departure {
    size_t page;
    uint64_t loop;  // The page's first bytes when its CPU came.
    friend bool operator==(const Departure&, const Departure&) = default;
  };
  // `self` is on, and Released() has not vacated its page: CPU_ON started it.
  // Returns the page that it left: its magic is cleared, and its loop if it is
  // still the one that its CPU ran. nullopt if it was in none.
  std::optional<Departure> Leave(VcpuId self);

  // --- Pages to which nothing happens
  // -----------------------------------------

  struct Words {
    uint64_t exit;
    uint64_t magic;
    uint64_t loop;
  };
  struct Finding {
    ParkFault fault;
    uint64_t value;
    bool clears_exit;
    friend bool operator==(const Finding&, const Finding&) = default;
  };
  // Returns whether Inspect() of this page can find anything.
  bool IsWorthALook(size_t page) const {
    return !pages_[page].occupant && !pages_[page].noted;
  }
  // Returns what is wrong with a page that holds these words, if anything, and
  // forgets to say so a second time. `overdue`: whoever comes at all has come.
  std::optional<Finding> Inspect(size_t page, const Words& words, bool overdue);

  friend bool operator==(const ParkPages&, const ParkPages&) = default;

 private:
  struct Page {
    std::optional<VcpuId> occupant;
    uint64_t loop = 0;      // Its first bytes when the occupant came.
    bool released = false;  // Its CPU has left since it was prepared.
    bool noted = false;     // A finding of Inspect() was told.
    friend bool operator==(const Page&, const Page&) = default;
  };
  struct Cpu {
    bool off = false;        // It has been off since it entered.
    bool announced = false;  // The guest may see its magic.
    std::optional<size_t> page;
    friend bool operator==(const Cpu&, const Cpu&) = default;
  };
  void Vacate(size_t page);

  std::vector<Cpu> cpus_;
  std::vector<Page> pages_;
  uint32_t parked_ = 0;
  uint64_t loop_ = 0;  // The first bytes of the first occupied page's loop.
};

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_PARK_PAGES_H_
