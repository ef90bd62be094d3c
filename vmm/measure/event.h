// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_EVENT_H_
#define PARKVMM_VMM_MEASURE_EVENT_H_

#include <array>
#include <cstdint>

namespace vmm {

// Something a vCPU did, stamped by the VMM on that vCPU's thread.
struct Event {
  enum class Kind : uint8_t {
    kPsci,  // A call: `function`, `args`, `result`. Stamped at its exit.
    // A CPU stored the magic: args place. The park page's or slot's CPU_OFF.
    kParkStore,
    // exit was stored, and taken: args target's affinity, entry, place.
    kReleaseStore,
    kOff,      // The CPU has left and is off for all to see, parked: args door.
    kStart,    // About to execute its first instruction: args entry, context.
    kMark,     // args: code, value.
    kVerdict,  // args: code, value.
    kReset,    // SYSTEM_RESET: args reset2 or not, type, cookie.
    kPowerOff,
  };
  int64_t ns = 0;  // Since the machine started, monotonic.
  uint32_t vcpu = 0;
  Kind kind = Kind::kPsci;
  uint8_t arguments = 0;  // How many of `args` count.
  uint32_t function = 0;
  std::array<uint64_t, 3> args = {};
  int64_t result = 0;
  int64_t firmware_ns = 0;  // kOff, kStart: spent by modelled firmware.
  friend bool operator==(const Event&, const Event&) = default;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_EVENT_H_
