// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_SMP_H_
#define PARKVMM_GUEST_STUB_SMP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "guest-stub/board.h"

namespace stub {

struct Cpu;

// What CPU_ON's context id points to: who is started, and to do what.
struct Start {
  Cpu* cpu;  // start.S: the first word.
  void (*body)(uint64_t argument);
  uint64_t argument;
};
static_assert(offsetof(Start, cpu) == 0);

// An exception that a CPU expects: filled in, and the instruction skipped.
struct Caught {
  bool taken = false;
  uint64_t esr = 0;
  uint64_t far = 0;
};

struct alignas(64) Cpu {
  uint64_t stack_top;  // start.S: the first word.
  uint64_t mpidr;
  uint32_t index;
  // How often it came out of CPU_ON. One for each SUCCESS, or some PSCI lies.
  std::atomic<uint32_t> entries;
  Start start;
  Caught* catching;
};
static_assert(offsetof(Cpu, stack_top) == 0);

// In the order of the devicetree. The boot CPU need not be the first.
uint32_t CpuCount();
Cpu& CpuAt(uint32_t index);
Cpu& ThisCpu();
// The others, in order: 0 to CpuCount() - 2.
Cpu& OtherCpu(uint32_t number);

// CPU_ON as it is: `start` must live until the target has begun.
int32_t CpuOn(const Start& start);
// The same with the target's own Start, and the call must succeed.
void TurnOn(Cpu& cpu, void (*body)(uint64_t argument), uint64_t argument = 0);
// CPU_OFF. What `body` returns to does it as well.
[[noreturn]] void TurnOff();
// Polls AFFINITY_INFO; fails the payload after a deadline.
void AwaitOff(const Cpu& cpu);

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_SMP_H_
