// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/window_turn.h"

namespace vmm {
namespace {

// How long a step may last, and how often a wait looks whether it is over
// without having been notified: a stop takes no lock, so a waiter may miss its
// notification.
constexpr std::chrono::milliseconds kTick(1);

}  // namespace

bool WindowTurn::Begin(Mutex& mutex) {
  while (taken_ && !stopped_) AwaitChange(mutex);
  if (stopped_) return false;
  taken_ = true;
  return true;
}

void WindowTurn::End() {
  taken_ = false;
  changed_.NotifyAll();
}

void WindowTurn::BeginStep(psci::VcpuId self) {
  stepper_ = self;
  step_began_ = std::chrono::steady_clock::now();
}

void WindowTurn::EndLongStep() const {
  if (stepper_ && std::chrono::steady_clock::now() - step_began_ >= kTick) {
    nudge_(psci::Index(*stepper_));
  }
}

void WindowTurn::AwaitChange(Mutex& mutex) {
  changed_.WaitFor(mutex, kTick);
  EndLongStep();
}

}  // namespace vmm
