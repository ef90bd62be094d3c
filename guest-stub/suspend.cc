// SPDX-License-Identifier: Apache-2.0
// CPU_SUSPEND, standby and power-down, ended by the timer and by another CPU's
// SGI. A power-down request is answered with standby, so it returns as well.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/exception.h"
#include "guest-stub/gic.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

extern "C" void secondary_entry();

namespace stub {
namespace {

constexpr uint32_t kSgi = 3;
constexpr uint32_t kTimer = board::kVirtualTimerIntid;
constexpr uint64_t kNapMicroseconds = 3000;

constinit std::atomic<uint32_t> sgis = 0;
constinit std::atomic<uint32_t> ticks = 0;
constinit std::atomic<uint32_t> asleep = 0;

void OnInterrupt(uint32_t intid) {
  if (intid == kTimer) {
    StopTimer();
    ticks.fetch_add(1);
  } else {
    EXPECT_EQ(intid, kSgi);
    sgis.fetch_add(1);
  }
}

void TakePending() {
  UnmaskIrqs();
  asm volatile("isb" ::: "memory");
  MaskIrqs();
}

void Suspend(uint64_t function, uint64_t power_state) {
  const int32_t result = Psci(function, power_state,
                              reinterpret_cast<uint64_t>(&secondary_entry), 0);
  EXPECT_EQ(result, PSCI_RET_SUCCESS);
}

// The interrupt is masked: it wakes the CPU, and is taken after that.
void NapMasked(uint64_t function, uint64_t power_state) {
  ticks = 0;
  const uint64_t begin = Now();
  StartTimer(kNapMicroseconds);
  Suspend(function, power_state);
  EXPECT_EQ(ticks.load(), 0);
  // KVM's WFI may end early, which PSCI allows; ours is one more reason to
  // suspend again.
  const bool early = Now() - begin < Ticks(kNapMicroseconds);
  if (early) FAIL("woke after ", Microseconds(Now() - begin), " us");
  EXPECT((READ_SYSREG(cntv_ctl_el0) & kTimerStatus) != 0);
  TakePending();
  EXPECT_EQ(ticks.load(), 1);
}

void NapUnmasked(uint64_t function, uint64_t power_state) {
  ticks = 0;
  StartTimer(kNapMicroseconds);
  UnmaskIrqs();
  Suspend(function, power_state);
  MaskIrqs();
  EXPECT_EQ(ticks.load(), 1);
}

void Waker(uint64_t target) {
  const auto rounds = static_cast<uint32_t>(Argument("rounds", 200));
  for (uint32_t round = 1; round <= rounds; ++round) {
    Await(asleep, round);
    GicSendSgi(kSgi, CpuAt(static_cast<uint32_t>(target)));
  }
}

// Now before the call, now in it: no wake-up may be lost.
void WakeBySgi() {
  const auto rounds = static_cast<uint32_t>(Argument("rounds", 200));
  Cpu& waker = OtherCpu(0);
  TurnOn(waker, Waker, ThisCpu().index);
  for (uint32_t round = 1; round <= rounds; ++round) {
    asleep = round;
    while (sgis < round) {
      Suspend(PSCI_CPU_SUSPEND_64,
              round % 2 == 0 ? PSCI_POWER_STATE_TYPE_POWER_DOWN : 0);
      TakePending();
    }
  }
  AwaitOff(waker);
  EXPECT_EQ(sgis.load(), rounds);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(suspend) {
  SetInterruptHandler(OnInterrupt);
  GicInitDistributor();
  GicInitCpu();
  GicEnable(kTimer);
  GicEnable(kSgi);
  for (const uint64_t state : {0, PSCI_POWER_STATE_TYPE_POWER_DOWN}) {
    for (const uint64_t function : {PSCI_CPU_SUSPEND_64, PSCI_CPU_SUSPEND_32}) {
      NapMasked(function, state);
      NapUnmasked(function, state);
    }
  }
  WakeBySgi();
}
