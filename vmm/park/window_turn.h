// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_WINDOW_TURN_H_
#define PARKVMM_VMM_PARK_WINDOW_TURN_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "psci-emul/types.h"
#include "vmm/base/mutex.h"

namespace vmm {

// Whose turn it is to change the park window: opening it, closing it and the
// instruction that is stepped over while it is open exclude each other. The
// thread whose turn it is lets go of the mutex, so that no lock is held while
// a vCPU runs or the host changes its page tables.
//
// Lives behind the mutex that each call names, and which the caller holds.
class WindowTurn {
 public:
  // `nudge` calls a vCPU out of the guest. `stopped` ends every wait of
  // `changed`, which is the caller's so that a stop need not take the mutex.
  WindowTurn(const std::function<void(uint32_t vcpu)>& nudge,
             const std::atomic<bool>& stopped, CondVar& changed)
      : nudge_(nudge), stopped_(stopped), changed_(changed) {}

  bool IsTaken() const { return taken_; }
  // Blocks until it is nobody's turn and makes it the caller's until End().
  // Returns false if the machine stops.
  bool Begin(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Takes the turn, which nobody has.
  void Take() { taken_ = true; }
  void End();

  // The vCPU of the caller, whose turn it is, runs one instruction.
  void BeginStep(psci::VcpuId self);
  void EndStep() { stepper_.reset(); }
  // Nudges a vCPU whose step lasts. The guest chooses the instruction and can
  // make it last for ever; called out of the guest, the vCPU comes back to the
  // same instruction.
  void EndLongStep() const;

  // Blocks for a moment, or until a turn has ended.
  void AwaitChange(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

 private:
  const std::function<void(uint32_t vcpu)>& nudge_;
  const std::atomic<bool>& stopped_;
  CondVar& changed_;
  bool taken_ = false;
  std::optional<psci::VcpuId> stepper_;
  std::chrono::steady_clock::time_point step_began_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_WINDOW_TURN_H_
