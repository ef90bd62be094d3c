// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_EVENT_H_
#define PARKVMM_VMM_MEASURE_EVENT_H_

#include <array>
#include <cstdint>

namespace vmm {

// Something a vCPU did, stamped by the VMM on that vCPU's thread unless it is
// `sampled`. It has a fixed size, so that a vCPU's thread allocates nothing for
// it. event_fields.h names what each of `args` is.
struct Event {
  enum class Kind : uint8_t {
    kPsci,       // The guest made a call. Stamped at its exit.
    kParkStore,  // A CPU stored the magic to its park page or slot, to leave.
    kReleaseStore,  // A CPU stored exit for a parked one, and it was taken.
    kOff,           // The CPU has left; its OFF state is visible.
    kStart,         // The CPU is about to execute its first instruction.
    kMark,          // The guest made a mark,
    kVerdict,       // or gave its verdict.
    kReset,         // SYSTEM_RESET, or with arguments SYSTEM_RESET2.
    kPowerOff,      // SYSTEM_OFF.
  };
  int64_t ns = 0;  // Since the machine started, monotonic.
  uint32_t vcpu = 0;
  Kind kind = Kind::kPsci;
  uint8_t arguments = 0;  // How many of `args` count.
  uint32_t function = 0;
  std::array<uint64_t, 3> args = {};
  int64_t result = 0;
  int64_t firmware_ns = 0;  // kOff, kStart: spent by modelled firmware.
  bool sampled = false;     // `ns` is when somebody looked, not when it was.
  friend bool operator==(const Event&, const Event&) = default;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_EVENT_H_
