// SPDX-License-Identifier: Apache-2.0
// One cell of the matrix of old and next kernels, `cycles=` times. Each boot is
// first the next kernel: it takes all CPUs back, by new=; each has to come up,
// once. Then it is the old one: it sends them away, by old=, and kexecs.
//
//   old=hotplug     CPU_OFF, one after the other
//   old=stop        CPU_OFF, all at once
//   old=page        into their pages; loop=other, loop=pair, or loop=both in
//                   turn: not the proposed loop. copy=words, copy=simd
//   old=device      into their slots
//   old=crash       they are stuck, interrupts masked, and stay
//   new=psci        CPU_ON
//   new=page        exit, if it finds its own loop in the page, else CPU_ON;
//                   wipe=late: the page is cleared once its CPU is there
//   new=device      the slot, if it says that it holds the CPU, else CPU_ON
//   new=other       the initrd's second image, which knows PSCI only
//   expect=refused  CPU_ON has to be answered ALREADY_ON, by all, always. What
//                   saves the CPUs then is no part of the cell.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/kexec.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

namespace stub {
namespace {

constexpr uint32_t kStopSgi = 1;

constinit std::atomic<uint32_t> arrived = 0;

uint32_t Others() { return CpuCount() - 1; }

bool ExpectsRefusal() { return HasArgument("expect=refused"); }

Loop LoopOf(uint64_t kexecs) {
  if (HasArgument("loop=other")) return Loop::kOther;
  if (HasArgument("loop=pair")) return Loop::kPair;
  if (HasArgument("loop=both") && kexecs % 2 == 1) return Loop::kOther;
  return Loop::kProposed;
}

Copy CopyOf() {
  if (HasArgument("copy=words")) return Copy::kWords;
  return HasArgument("copy=simd") ? Copy::kSimd : Copy::kPairs;
}

// --- The other CPUs ----------------------------------------------------------

void Stick() {
  const Handover& handover = TheHandover();
  const uint64_t kexecs = handover.kexecs + 1;
  arrived.fetch_sub(1);
  while (ReadMmio64(reinterpret_cast<uint64_t>(&handover.let_go)) != kexecs) {
    for (int i = 0; i < 1000; ++i) asm volatile("");
  }
}

// Runs until it is stopped, and leaves inside of the interrupt's handler: that
// is what an IPI leaves behind.
void Run(uint64_t number) {
  GicInitCpu();
  GicClear(~0u);
  GicEnable(kStopSgi);
  arrived.fetch_add(1);
  while (GicIntid(GicAcknowledge()) != kStopSgi) WaitForInterrupt();
  if (HasArgument("old=page")) {
    park_enter(ParkPage(static_cast<uint32_t>(number)));
  }
  if (HasArgument("old=device")) {
    EnterSlot();
    FAIL("the slot refused: ", ReadSlot(ThisCpu(), PARK_REG_STATUS));
  }
  if (HasArgument("old=crash")) Stick();
}

void AwaitArrived(const Handover& handover, uint32_t wanted) {
  const Deadline deadline;
  while (arrived != wanted) {
    if (deadline.Passed()) {
      FAIL("kexec ", handover.kexecs, ": ", arrived.load(), " of ", Others(),
           " CPUs are up");
    }
    Sleep(200);
  }
}

// --- The next kernel ---------------------------------------------------------

void ReleasePage(uint32_t number) {
  const uint64_t page = ParkPage(number);
  StoreExit(page, PrepareExit(number, Run, number));
  if (!HasArgument("wipe=late")) WipePage(page);
}

// Whether it is to come; it was refused, as expected, otherwise.
bool TakeByPsci(const Handover& handover, uint32_t number) {
  Cpu& cpu = OtherCpu(number);
  cpu.start = {&cpu, Run, number};
  const int32_t result = CpuOn(cpu.start);
  if (result == PSCI_RET_SUCCESS) return true;
  if (result != PSCI_RET_ALREADY_ON || !ExpectsRefusal()) {
    FAIL("kexec ", handover.kexecs, ": CPU_ON of ", Hex{cpu.mpidr},
         " returned ", result);
  }
  return false;
}

bool Take(const Handover& handover, uint32_t number) {
  Cpu& cpu = OtherCpu(number);
  if (HasArgument("new=page") && HasLoop(ParkPage(number), Loop::kProposed)) {
    ReleasePage(number);
    return true;
  }
  if (HasArgument("new=device") &&
      ReadSlot(cpu, PARK_REG_STATE) == PARK_STATE_PARKED) {
    EXPECT_EQ(ReleaseSlot(cpu, Run, number), PARK_STATUS_OK);
    return true;
  }
  return TakeByPsci(handover, number);
}

// What the cell is not about: the CPUs for the next cycle.
void Rescue(Handover& handover, uint32_t number) {
  if (HasArgument("old=crash")) {
    handover.let_go = handover.kexecs;
    AwaitOff(OtherCpu(number));
    TurnOn(OtherCpu(number), Run, number);
  } else {
    ReleasePage(number);
  }
}

void TakeAll(Handover& handover) {
  static constinit bool refused[board::kMaxCpus] = {};
  for (uint32_t i = 0; i < Others(); ++i) refused[i] = !Take(handover, i);
  for (uint32_t i = 0; i < Others(); ++i) {
    if (!refused[i]) continue;
    ++handover.refusals;
    Rescue(handover, i);
  }
  AwaitArrived(handover, Others());
  for (uint32_t i = 0; i < Others(); ++i) {
    EXPECT_EQ(OtherCpu(i).entries.load(), 1);
    if (HasArgument("wipe=late")) WipePage(ParkPage(i));
  }
}

// --- The old kernel ----------------------------------------------------------

void SendAway(const Handover& handover) {
  for (uint32_t i = 0; HasArgument("old=page") && i < Others(); ++i) {
    InstallLoop(ParkPage(i), LoopOf(handover.kexecs), CopyOf());
  }
  for (uint32_t i = 0; i < Others(); ++i) {
    GicSendSgi(kStopSgi, OtherCpu(i));
    if (HasArgument("old=hotplug")) AwaitOff(OtherCpu(i));
  }
  if (HasArgument("old=crash")) return AwaitArrived(handover, 0);
  for (uint32_t i = 0; i < Others(); ++i) {
    HasArgument("old=page") ? AwaitMagic(ParkPage(i)) : AwaitOff(OtherCpu(i));
    EXPECT_EQ(OtherCpu(i).entries.load(), 1);
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_matrix) {
  Handover& handover = TheHandover();
  const uint64_t cycles = Argument("cycles", 100);
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  TakeAll(handover);
  if (handover.kexecs < cycles) {
    SendAway(handover);
    ++handover.kexecs;
    Kexec(HasArgument("new=other") ? 1 : 0);
  }
  EXPECT_EQ(handover.others, HasArgument("new=other") ? cycles : 0);
  EXPECT_EQ(handover.refusals, ExpectsRefusal() ? cycles * Others() : 0);
  Print(cycles, " kexecs of ", CpuCount(), " CPUs, ", handover.refusals,
        " refusals");
}
