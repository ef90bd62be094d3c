// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_EXCEPTION_H_
#define PARKVMM_GUEST_STUB_EXCEPTION_H_

#include <cstdint>

#include "guest-stub/smp.h"

namespace stub {

// Exception classes of ESR_EL1.
inline constexpr uint64_t kUnknownInstruction = 0x00;
inline constexpr uint64_t kDataAbort = 0x25;  // From the same level.
// Data fault status: synchronous external abort, not on a table walk.
inline constexpr uint64_t kSynchronousExternal = 0x10;

constexpr uint64_t ClassOf(const Caught& caught) { return caught.esr >> 26; }
constexpr uint64_t FaultOf(const Caught& caught) { return caught.esr & 0x3f; }

// Runs `attempt` on this CPU and says which synchronous exception its
// instructions took. Every other one, anywhere, fails the payload.
Caught Catch(auto attempt) {
  Caught caught;
  Cpu& cpu = ThisCpu();
  cpu.catching = &caught;
  attempt();
  cpu.catching = nullptr;
  return caught;
}

// Called with an INTID between acknowledge and end; nullptr: none is expected.
void SetInterruptHandler(void (*handler)(uint32_t intid));

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_EXCEPTION_H_
