// SPDX-License-Identifier: Apache-2.0
// What becomes of SGIs and PPIs that are pending, active or enabled when their
// CPU turns itself off: printed, for PSCI says nothing of it. Whatever it is, a
// CPU that starts as Linux does is not troubled by it.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/exception.h"
#include "guest-stub/gic.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

namespace stub {
namespace {

constexpr uint32_t kPendingSgi = 3;
constexpr uint32_t kActiveSgi = 5;
constexpr uint32_t kPendingPpi = 20;

constinit std::atomic<uint32_t> taken = 0;

void AwaitPending(uint32_t intid) {
  const Deadline deadline;
  while ((GicPending() >> intid & 1) == 0) EXPECT(!deadline.Passed());
}

void Soil(uint64_t) {
  const Cpu& self = ThisCpu();
  GicInitCpu();
  for (const uint32_t intid : {kPendingSgi, kActiveSgi, kPendingPpi}) {
    GicEnable(intid);
  }
  GicSendSgi(kActiveSgi, self);
  AwaitPending(kActiveSgi);
  EXPECT_EQ(GicIntid(GicAcknowledge()), kActiveSgi);  // And no GicEnd().
  GicSendSgi(kPendingSgi, self);
  GicSetPending(kPendingPpi);
  AwaitPending(kPendingSgi);
  AwaitPending(kPendingPpi);
  Print("before CPU_OFF: pending ", Hex{GicPending()}, ", active ",
        Hex{GicActive()}, ", enabled ", Hex{GicEnabled()});
}

void Restart(uint64_t) {
  const Cpu& self = ThisCpu();
  Print("after CPU_ON: pending ", Hex{GicPending()}, ", active ",
        Hex{GicActive()}, ", enabled ", Hex{GicEnabled()});
  // As Linux does it: everything disabled, nothing active, pending SGIs stay.
  GicInitCpu();
  GicClear(~0u);
  SetInterruptHandler([](uint32_t intid) {
    EXPECT_EQ(intid, kPendingSgi);
    taken.fetch_add(1);
  });
  UnmaskIrqs();
  EXPECT_EQ(taken.load(), 0);
  GicEnable(kPendingSgi);
  asm volatile("isb" ::: "memory");
  EXPECT_EQ(taken.load(), 0);
  GicSendSgi(kPendingSgi, self);
  const Deadline deadline;
  while (taken == 0) EXPECT(!deadline.Passed());
  EXPECT_EQ(taken.load(), 1);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(leftover_interrupts) {
  Cpu& cpu = OtherCpu(0);
  GicInitDistributor();
  TurnOn(cpu, Soil);
  AwaitOff(cpu);
  TurnOn(cpu, Restart);
  AwaitOff(cpu);
  EXPECT_EQ(taken.load(), 1);
}
