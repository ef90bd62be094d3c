// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_POWER_TABLE_H_
#define PARKVMM_PSCI_EMUL_POWER_TABLE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "psci-emul/power_state.h"
#include "psci-emul/shared_word.h"
#include "psci-emul/types.h"

namespace psci {

// Who is on, who is off, and where each one starts next.
//
// Decides; never touches a vCPU. One word per vCPU holds its state and whether
// the machine is stopping; every change is one atomic step on that word, so
// there is no lock for a hypercall to wait for, and no wake-up to lose: who
// waits, waits for the word itself to change.
class PowerTable {
 public:
  // Who started a CPU: a caller of CPU_ON, or a store to where it is parked.
  enum class By : uint8_t { kCpuOn, kRelease };

  // `topology[i]` is the affinity of VcpuId{i}, all different. All start off.
  explicit PowerTable(std::vector<Mpidr> topology);
  PowerTable(const PowerTable&) = delete;
  PowerTable& operator=(const PowerTable&) = delete;

  uint32_t size() const { return static_cast<uint32_t>(topology_.size()); }
  Mpidr MpidrOf(VcpuId vcpu) const { return topology_[Index(vcpu)]; }
  // O(1). nullopt if no vCPU has this affinity.
  std::optional<VcpuId> Find(Mpidr mpidr) const;
  // Any thread; the answer may be old when it arrives. Who writes something and
  // then sees a CPU off: once it is on, that CPU sees what was written.
  PowerState StateOf(VcpuId vcpu) const;
  // How many are on or starting; likewise.
  uint32_t CountOn() const { return not_off_.load(std::memory_order_relaxed); }
  // When a CPU last turned itself off, by CLOCK_MONOTONIC in ns; 0 if none has.
  int64_t LastOffNs() const {
    return last_off_ns_.load(std::memory_order_relaxed);
  }
  // Whether it is off, and left by this door.
  bool IsParked(VcpuId vcpu, Door door) const;

  // Any thread. true for exactly one of several racing callers: its `context`
  // is what `target` starts with. false if `target` was not off, or if the
  // machine is stopping.
  [[nodiscard]] bool PowerOn(VcpuId target, BootContext context);
  // The same, but only for a target that left by this door.
  [[nodiscard]] bool Release(VcpuId target, Door door, BootContext context);
  // On the vCPU's own thread. true if no vCPU is left on or starting: nobody
  // can ever start one again.
  [[nodiscard]] bool PowerOff(VcpuId self, Door door = Door::kCpuOff);
  // On the vCPU's own thread, while it is off: blocks until PowerOn() names
  // it; nullopt once the machine is stopping. Unbounded by design (a parked
  // CPU may stay parked); Shutdown() ends it.
  std::optional<BootContext> AwaitBoot(VcpuId self);
  // Likewise: true if nobody has turned it on, and the machine is not stopping,
  // for this long.
  bool StaysOff(VcpuId self, std::chrono::nanoseconds how_long);
  // Likewise: the first half of AwaitBoot(), the one that blocks. The CPU is
  // starting, and not on before the other half.
  std::optional<By> AwaitStart(VcpuId self);
  // On the vCPU's own thread, while it is on or starting: sleeps until then,
  // by CLOCK_MONOTONIC in ns, and some microseconds longer. false, at once,
  // when the machine is stopping.
  [[nodiscard]] bool SleepUntil(VcpuId self, int64_t monotonic_ns);

  // Any thread: ends every wait, now and later.
  void Shutdown();

 private:
  // Each on a cache line of its own: neighbours start at the same time.
  struct alignas(64) Slot {
    SharedWord<uint32_t> word{"word", 0};
    // Written in kClaimed, read in kOnPending.
    GuardedValue<BootContext> next{"next", {}};
    GuardedValue<By> by{"by", By::kCpuOn};
  };

  // A state, and for an off CPU its door.
  struct Place {
    PowerState state;
    Door door = Door::kCpuOff;
  };
  // Makes the edge unless `slot` is elsewhere; keeps the stopping bit.
  // `door_counts`: whether being off by another door is elsewhere.
  static bool Transition(Slot& slot, Place from, Place to,
                         bool door_counts = true);
  bool Start(VcpuId target, Place from, By by, BootContext context);

  const std::vector<Mpidr> topology_;
  std::unordered_map<Mpidr, VcpuId> by_mpidr_;
  const std::unique_ptr<Slot[]> slots_;
  SharedWord<uint32_t> not_off_{"not_off", 0};
  SharedWord<int64_t> last_off_ns_{"last_off_ns", 0};
};

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_POWER_TABLE_H_
