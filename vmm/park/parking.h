// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_PARKING_H_
#define PARKVMM_VMM_PARK_PARKING_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "psci-emul/power_state.h"
#include "psci-emul/types.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

// As long as the proposal has a kernel wait for a CPU's magic.
inline constexpr int64_t kMagicDeadlineNs = 1'000'000'000;

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

  SpinTotals& operator+=(const SpinTotals& other) {
    parks += other.parks;
    parked_ns += other.parked_ns;
    host_cpu_ns += other.host_cpu_ns;
    return *this;
  }
};

// The vCPU threads of the machine, for parking. Any thread.
struct RunningVcpus {
  // Calls the vCPU out of the guest, once.
  std::function<void(uint32_t vcpu)> nudge;
  // Calls it out and returns where it was; nullopt if it is off or does not
  // answer in time.
  std::function<std::optional<Whereabouts>(uint32_t vcpu)> ask;
  // Returns the host's CPU time that its thread has used, in ns.
  std::function<int64_t(uint32_t vcpu)> host_cpu_ns;
};

// How CPUs of one machine park, other than by CPU_OFF: NoParking, GuestParking
// or HostParking. The machine, its vCPU threads and their dispatchers make the
// same calls whatever the mode.
//
// A call blocks its thread for a bounded time, and holds no lock while a vCPU
// runs.
class Parking {
 public:
  Parking(const Parking&) = delete;
  Parking& operator=(const Parking&) = delete;
  virtual ~Parking() = default;

  // --- On the vCPU's own thread ----------------------------------------------

  // Before each Run().
  absl::Status BeforeRun(psci::VcpuId self, Vcpu& vcpu) {
    if (!must_watch_.load(std::memory_order_seq_cst)) return absl::OkStatus();
    return WatchBeforeRun(self, vcpu);
  }

  struct StoreOutcome {
    bool parks = false;            // PowerOff(kPage), then Left().
    std::optional<VcpuExit> then;  // To be dispatched as well.
  };
  // Answers StoreRefused or a watched store. kInternal for a store that
  // nothing here has refused.
  virtual absl::StatusOr<StoreOutcome> OnStore(psci::VcpuId self, Vcpu& vcpu,
                                               const VcpuExit& exit);
  // The CPU is off for the PowerTable, by this door.
  virtual absl::Status Left(psci::VcpuId, psci::Door) {
    return absl::OkStatus();
  }
  // The CPU is still off, and its registers are those of a new one.
  virtual absl::Status WhileOff(psci::VcpuId, Vcpu&) {
    return absl::OkStatus();
  }
  // The CPU is on again, whoever started it.
  virtual void Entered(psci::VcpuId) {}
  // CPU_ON by `caller` of the CPU with affinity `mpidr` is about to return
  // ALREADY_ON.
  virtual void OnCpuOnRefused(psci::VcpuId /*caller*/, uint64_t /*mpidr*/) {}

  // --- On the machine's thread -----------------------------------------------

  // The vCPUs' threads have started.
  virtual void Start() {}
  // Ends what Start() began, after RequestStop() and before the vCPUs' threads
  // are joined.
  virtual void Join() {}
  // Looks at what has no event of its own. Now and then.
  virtual bool Inspect() { return false; }
  // After Join(): nullopt unless CPUs park in the guest's own loop.
  virtual std::optional<SpinTotals> Spinning() const { return std::nullopt; }

  // --- Any thread
  // --------------------------------------------------------------

  // No vCPU waits for another any more. Takes no lock. The caller kicks the
  // vCPUs first.
  virtual void RequestStop() {}

 protected:
  Parking() = default;

  // Set while a vCPU has to watch its stores before it runs. It is here, not
  // behind a virtual call, because every exit of every vCPU asks for it.
  std::atomic<bool> must_watch_ = false;

 private:
  virtual absl::Status WatchBeforeRun(psci::VcpuId, Vcpu&) {
    return absl::OkStatus();
  }
};

// CPUs leave by CPU_OFF alone.
class NoParking final : public Parking {};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_PARKING_H_
