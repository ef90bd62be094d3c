// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_GUEST_PARKING_H_
#define PARKVMM_VMM_PARK_GUEST_PARKING_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "psci-emul/park_slots.h"
#include "psci-emul/power_table.h"
#include "vmm/base/clock.h"
#include "vmm/base/mutex.h"
#include "vmm/boot/park_placement.h"
#include "vmm/measure/event_ring.h"
#include "vmm/park/diagnosis_log.h"
#include "vmm/park/guarded_window.h"
#include "vmm/park/parking.h"

namespace vmm {

// The park pages, played by the guest alone: its own loop spins in RAM, as
// proposed. A thread looks at the pages, every millisecond and more often while
// CPUs are on their way in, and stops no CPU: that is enough to know when CPUs
// park and leave. Which CPU is in a page is taken from the page's number, as in
// the proposal. A vCPU is called out of the guest and asked where it is only
// when something is wrong, and once in a round as long as CPUs spin.
class GuestParking final : public Parking {
 public:
  struct Deps {  // Outlive the parking.
    const GuestMemory& memory;
    psci::PowerTable& power;
    psci::JudgeEntry judge;
    DiagnosisLog& diagnoses;
    EventRing& events;  // Of this thread alone.
    const Clock& clock;
    // Whether the CPU left by CPU_OFF, as far as the VMM knows.
    std::function<bool(uint32_t vcpu)> is_off;
    RunningVcpus vcpus;
    std::function<void()> on_thread = nullptr;  // Begins its thread, if given.
  };

  // Errors are the host's: it cannot map the window.
  static absl::StatusOr<std::unique_ptr<GuestParking>> Create(
      const ParkPlacement& placement, Deps deps);
  // RequestStop() and Join().
  ~GuestParking() override;

  // Looks where the CPU that is on already is, before the caller goes on and
  // may let it out.
  void OnCpuOnRefused(psci::VcpuId caller, uint64_t mpidr) override;
  void Start() override;
  void RequestStop() override;
  void Join() override;
  std::optional<SpinTotals> Spinning() const override { return totals_; }

  // Looks at every page once: what the thread does.
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

  GuestParking(const ParkPlacement& placement, GuardedWindow window, Deps deps);
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
  const Deps deps_;
  GuardedWindow window_;
  std::vector<Page> pages_;  // By vCPU; the boot CPU's is never used.
  SpinTotals totals_;
  int64_t first_park_ns_ = 0;  // Of this round; 0: none.
  bool asked_ = false;         // All CPUs, in this round.

  std::atomic<bool> stopped_ = false;
  Mutex sleeping_;  // Guards nothing but the wait for `stopped_changed_`.
  CondVar stopped_changed_;
  std::thread thread_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_GUEST_PARKING_H_
