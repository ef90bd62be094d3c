// SPDX-License-Identifier: Apache-2.0
// Several hundred CPUs: on until all are, off at once, and all of it again.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

namespace stub {
namespace {

constinit std::atomic<uint32_t> up = 0;
constinit std::atomic<uint32_t> released = 0;

constexpr uint32_t kReleaseSgi = 1;

// Asleep meanwhile: hundreds that spin leave no time to whom they wait for.
void Wait(uint64_t round) {
  GicInitCpu();
  GicClear(1u << kReleaseSgi);
  GicEnable(kReleaseSgi);
  up.fetch_add(1);
  while (released != round) WaitForInterrupt();
}

void AwaitUp(uint32_t cpus) {
  const Deadline deadline(40);
  while (up != cpus) {
    if (deadline.Passed()) FAIL(up.load(), " of ", cpus, " CPUs came up");
    StartTimer(1000);
    WaitForInterrupt();
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(wide) {
  const uint32_t others = CpuCount() - 1;
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  for (uint32_t round = 1; round <= Argument("rounds", 2); ++round) {
    up = 0;
    for (uint32_t i = 0; i < others; ++i) TurnOn(OtherCpu(i), Wait, round);
    AwaitUp(others);
    released = round;
    for (uint32_t i = 0; i < others; ++i) GicSendSgi(kReleaseSgi, OtherCpu(i));
    for (uint32_t i = 0; i < others; ++i) {
      AwaitOff(OtherCpu(i));
      EXPECT_EQ(OtherCpu(i).entries.load(), round);
    }
  }
  Print(others, " CPUs, the last one ", Hex{OtherCpu(others - 1).mpidr});
}
