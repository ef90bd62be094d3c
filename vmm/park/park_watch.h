// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_PARK_WATCH_H_
#define PARKVMM_VMM_PARK_PARK_WATCH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "psci-emul/park_slots.h"
#include "psci-emul/power_table.h"
#include "vmm/base/clock.h"
#include "vmm/base/mutex.h"
#include "vmm/boot/park_placement.h"
#include "vmm/measure/event_ring.h"
#include "vmm/park/diagnosis_log.h"
#include "vmm/park/guarded_window.h"

namespace vmm {

// Where a vCPU was when it was asked.
struct Whereabouts {
  uint64_t pc = 0;  // Virtual.
  bool mmu_on = false;
};

// What the spinning of CPUs in the guest's own loop has cost.
struct SpinTotals {
  uint64_t parks = 0;
  int64_t parked_ns = 0;    // From magic to release, all CPUs together.
  int64_t host_cpu_ns = 0;  // Of the vCPUs' threads in that time.
};

// The park pages, played by the guest alone: its own loop spins in RAM, as
// proposed. We look at the pages, every millisecond and more often while CPUs
// are on their way in, and stop nobody: when CPUs park and leave is known that
// well. Which CPU is in a page is taken from its number, as the proposal has
// it. A vCPU is called out of the guest and asked where it is only when
// something is wrong, and once in a while as long as CPUs spin.
class ParkWatch {
 public:
  struct Machine {  // Outlives the watch.
    const GuestMemory& memory;
    psci::PowerTable& power;
    psci::JudgeEntry judge;
    DiagnosisLog& diagnoses;
    EventRing& events;  // Of the watch alone.
    const Clock& clock;
    uint64_t stride = kParkUnit;  // From page to page: the guest's page size.
    // Whether it left by CPU_OFF, as far as we know.
    std::function<bool(uint32_t vcpu)> is_off;
    // Any thread. nullopt: the vCPU is off, or did not answer in time.
    std::function<std::optional<Whereabouts>(uint32_t vcpu)> ask;
    std::function<int64_t(uint32_t vcpu)> host_cpu_ns;
  };

  static absl::StatusOr<std::unique_ptr<ParkWatch>> Create(
      const ParkPlacement& placement, Machine machine);
  ~ParkWatch();

  void Start();
  // Ends the thread. Before the vCPUs' threads are gone.
  void Stop();

  // A vCPU's thread: its CPU_ON of the CPU of this affinity was answered
  // ALREADY_ON. Looks where that one is before the caller goes on, and may let
  // it out.
  void OnRefusedCpuOn(psci::VcpuId caller, uint64_t mpidr);

  // After Stop().
  const SpinTotals& totals() const { return totals_; }

  // One look, for tests: what the thread does.
  void Look();

 private:
  enum class State { kEmpty, kPrepared, kParked, kReleased };
  struct Page {
    State state = State::kEmpty;
    uint64_t loop = 0;
    int64_t since_ns = 0;
    int64_t cpu_ns = 0;  // The thread's clock at the magic.
    bool noted = false;
  };

  ParkWatch(const ParkPlacement& placement, GuardedWindow window,
            Machine machine);
  GuestAddress PageOf(uint32_t vcpu) const;
  void LookAt(uint32_t vcpu);
  void CheckExit(uint32_t vcpu, uint64_t exit);
  void Parked(uint32_t vcpu, uint64_t loop);
  void Released(uint32_t vcpu, uint64_t exit);
  void CheckReleased(uint32_t vcpu);
  void CheckSpinning();
  void CheckForged(uint32_t vcpu, const Whereabouts& where);
  bool IsInWindow(const Whereabouts& where) const;
  void Note(psci::ParkFault fault, uint32_t vcpu, uint64_t value);

  const ParkPlacement placement_;
  const Machine machine_;
  GuardedWindow window_;
  std::vector<Page> pages_;  // By vCPU; the boot CPU's is never used.
  SpinTotals totals_;
  int64_t first_park_ns_ = 0;  // Of this round; 0: none.
  bool asked_ = false;         // All CPUs, in this round.

  Mutex mutex_;
  CondVar stopped_changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_PARK_WATCH_H_
