// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_POWER_STATE_H_
#define PARKVMM_PSCI_EMUL_POWER_STATE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace psci {

// One vCPU's power state.
//
// A vCPU is kOff before its first CPU_ON and again after CPU_OFF: parked, its
// thread blocked in the VMM. Exactly one of several racing CPU_ON callers
// takes it to kClaimed and becomes the only one who may write its boot
// context; kOnPending publishes that context; the vCPU's own thread takes it
// and is kOn until it turns itself off. Nobody but that thread leaves
// kOnPending or kOn.
//
// The guest sees two states only: kOff is OFF, all others are ON. That is what
// KVM's own PSCI shows, and DEN0022 lets ON_PENDING be as short as one likes.
enum class PowerState : uint32_t { kOff, kClaimed, kOnPending, kOn };

// The one edge list. Everything else asks it; the test walks it.
constexpr bool IsLegal(PowerState from, PowerState to) {
  switch (from) {
    case PowerState::kOff:
      return to == PowerState::kClaimed;
    case PowerState::kClaimed:
      return to == PowerState::kOnPending;
    case PowerState::kOnPending:
      return to == PowerState::kOn;
    case PowerState::kOn:
      return to == PowerState::kOff;
  }
  return false;
}

// By which door a CPU left; kCpuOff if it never was on. CPU_ON starts it in
// any case; who stores to a park page or slot starts only whom it holds.
enum class Door : uint32_t { kCpuOff, kPage, kDevice };

constexpr absl::string_view Name(Door door) {
  switch (door) {
    case Door::kCpuOff:
      return "psci";
    case Door::kPage:
      return "page";
    case Door::kDevice:
      return "device";
  }
  return "?";
}

// For people: "off", "starting" or "on".
constexpr absl::string_view Name(PowerState state) {
  switch (state) {
    case PowerState::kOff:
      return "off";
    case PowerState::kClaimed:
    case PowerState::kOnPending:
      return "starting";
    case PowerState::kOn:
      return "on";
  }
  return "?";
}

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_POWER_STATE_H_
