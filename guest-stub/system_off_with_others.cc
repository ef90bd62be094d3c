// SPDX-License-Identifier: Apache-2.0
// SYSTEM_OFF, or with "reset" SYSTEM_RESET, while the other CPUs compute, mark,
// call, wait, are suspended or off. No CPU runs on, the caller least of all.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "vmm/devices/mark_abi.h"

namespace stub {
namespace {

constinit std::atomic<uint32_t> busy = 0;
constinit std::atomic<uint32_t> counter = 0;

void Compute() {
  for (;;) counter.fetch_add(1);
}
void Mark() {
  for (uint64_t i = 0;; ++i) {
    WriteMmio64(board::kMarkDevice + MARK_REG_MARK,
                MARK_CODE_USER | i << MARK_VALUE_SHIFT);
  }
}
void Call() {
  for (;;) Psci(PSCI_FEATURES, PSCI_CPU_OFF);
}
void Wait() {
  for (;;) WaitForInterrupt();
}
void Suspend() {
  for (;;) Psci(PSCI_CPU_SUSPEND_64);
}
void End() {}

void KeepBusy(uint64_t how) {
  constexpr void (*kWays[])() = {Compute, Mark, Call, Wait, Suspend, End};
  busy.fetch_add(1);
  kWays[how % (sizeof(kWays) / sizeof(kWays[0]))]();
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(system_off_with_others) {
  const uint32_t others = CpuCount() - 1;
  for (uint32_t i = 0; i < others; ++i) TurnOn(OtherCpu(i), KeepBusy, i);
  Await(busy, others);
  AnnouncePass();
  const int32_t result =
      Psci(HasArgument("reset") ? PSCI_SYSTEM_RESET : PSCI_SYSTEM_OFF);
  FAIL("the call returned ", result);
}
