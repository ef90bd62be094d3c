// SPDX-License-Identifier: Apache-2.0
// A timer that was enabled and had expired when its CPU turned itself off: it
// is off after CPU_ON, and ticks no more until it is started.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/exception.h"
#include "guest-stub/gic.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

namespace stub {
namespace {

constexpr uint32_t kTimer = board::kVirtualTimerIntid;
constexpr uint64_t kWhile = 3000;  // Microseconds.

constinit std::atomic<uint32_t> ticks = 0;
constinit uint64_t first_control = 0;

void Spin(uint64_t microseconds) {
  for (const uint64_t end = Now() + Ticks(microseconds); Now() < end;) {
  }
}

void Soil(uint64_t) {
  first_control = READ_SYSREG(cntv_ctl_el0);
  GicInitCpu();
  GicEnable(kTimer);
  StartTimer(0);
  WRITE_SYSREG(cntp_cval_el0, 0);
  WRITE_SYSREG(cntp_ctl_el0, kTimerEnable);
  const Deadline deadline;
  while ((GicPending() >> kTimer & 1) == 0) EXPECT(!deadline.Passed());
}

void Restart(uint64_t) {
  EXPECT_EQ(READ_SYSREG(cntv_ctl_el0) & ~kTimerStatus, first_control);
  EXPECT_EQ(READ_SYSREG(cntp_ctl_el0) & kTimerEnable, 0);
  EXPECT_EQ(GicPending() >> kTimer & 1, 0);
  GicInitCpu();
  GicEnable(kTimer);
  SetInterruptHandler([](uint32_t intid) {
    EXPECT_EQ(intid, kTimer);
    StopTimer();
    ticks.fetch_add(1);
  });
  UnmaskIrqs();
  Spin(kWhile);
  EXPECT_EQ(ticks.load(), 0);
  StartTimer(kWhile);
  const Deadline deadline;
  while (ticks == 0) EXPECT(!deadline.Passed());
  Spin(kWhile);
  EXPECT_EQ(ticks.load(), 1);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(leftover_timer) {
  Cpu& cpu = OtherCpu(0);
  GicInitDistributor();
  TurnOn(cpu, Soil);
  AwaitOff(cpu);
  EXPECT_EQ(first_control, 0);
  TurnOn(cpu, Restart);
  AwaitOff(cpu);
  EXPECT_EQ(ticks.load(), 1);
}
