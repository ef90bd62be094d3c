// SPDX-License-Identifier: Apache-2.0
// Everybody at once, by the rules or not: a page's exit is rewritten without
// end while its CPU goes in and comes out; and CPUs leave by any door while two
// others release anybody by any. Nobody starts where it should not, and nobody
// is lost.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/random.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

extern "C" void park_storm_slot_entry();

namespace stub {
namespace {

constinit uint32_t rounds = 0;
constinit uint64_t entry = 0;  // Of who comes out of a page.

struct alignas(64) Runner {
  std::atomic<uint32_t> done;
};
constinit Runner runners[board::kMaxCpus] = {};

// --- exit, rewritten ---------------------------------------------------------

constinit std::atomic<uint32_t> stores = 0;

void ParkAgain(uint64_t number) {
  if (ThisCpu().entries < rounds) {
    park_enter(ParkPage(static_cast<uint32_t>(number)));
  }
  runners[number].done = 1;
}

void Rewrite(uint64_t number) {
  const auto page = static_cast<uint32_t>(number);
  const uint64_t values[] = {
      entry,         entry + 2,          0,
      board::kNoRam, board::kMarkDevice, ParkPage(page) + PARK_PAGE_TEXT,
      PARK_MAGIC,    ~uint64_t{0}};
  const Deadline deadline(40);
  while (runners[number].done == 0) {
    for (const uint64_t value : values) {
      WriteMmio64(ParkPage(page) + board::kAlias + PARK_PAGE_EXIT, value);
    }
    stores.fetch_add(8);
    if (deadline.Passed()) FAIL("lost, or too slow, after ", stores.load());
  }
}

void RewriteExit() {
  InstallLoop(ParkPage(0), Loop::kOther);
  entry = PrepareExit(0, ParkAgain, 0);
  TurnOn(OtherCpu(1), Rewrite, 0);
  TurnOn(OtherCpu(0), ParkAgain, 0);
  Rewrite(0);
  AwaitOff(OtherCpu(0));
  AwaitOff(OtherCpu(1));
  EXPECT_EQ(OtherCpu(0).entries.load(), rounds);
  Print(stores.load(), " stores of exit");
}

// --- All doors ---------------------------------------------------------------

constinit std::atomic<uint32_t> storms = 0;

void RunAway(uint64_t number) {
  const uint32_t entries = ThisCpu().entries;
  if (entries >= rounds) {
    runners[number].done = 1;
    return;
  }
  switch (Random(entries * 512 + number).Below(3)) {
    case 0:
      return;
    case 1: {
      const uint64_t page = ParkPage(static_cast<uint32_t>(number));
      // CPU_ON took it away with the CPU.
      if (!HasLoop(page, Loop::kOther)) InstallLoop(page, Loop::kOther);
      park_enter(page);
    }
    default:
      EnterSlot();
      FAIL("the slot refused: ", ReadSlot(ThisCpu(), PARK_REG_STATUS));
  }
}

bool AllDone(uint32_t first, uint32_t end) {
  for (uint32_t i = first; i < end; ++i) {
    if (runners[i].done == 0) return false;
  }
  return true;
}

// Of numbers from `first` on, without looking whether it is parked there.
void ReleaseAnybody(uint64_t first) {
  const uint32_t end = CpuCount() - 1;
  const auto begin = static_cast<uint32_t>(first);
  Random random(ThisCpu().index);
  const Deadline deadline(40);
  for (; !AllDone(begin, end); storms.fetch_add(1)) {
    const uint32_t number = begin + random.Below(end - begin);
    // By its place: the CPU that is OtherCpu(number) for the boot CPU.
    Cpu& cpu = CpuAt(number + 1);
    switch (random.Below(3)) {
      case 0:
        CpuOn(cpu.start);
        break;
      case 1:
        StoreExit(ParkPage(number), entry);
        break;
      default:
        WriteMmio64(ParkSlot(cpu) + PARK_REG_CONTEXT,
                    reinterpret_cast<uint64_t>(&cpu.start));
        WriteMmio64(ParkSlot(cpu) + PARK_REG_EXIT,
                    reinterpret_cast<uint64_t>(&park_storm_slot_entry));
    }
    if (deadline.Passed()) FAIL("lost, or too slow, after ", storms.load());
  }
}

void AllDoors() {
  constexpr uint32_t kFirst = 2;
  const uint32_t others = CpuCount() - 1;
  for (uint32_t i = kFirst; i < others; ++i) {
    InstallLoop(ParkPage(i), Loop::kOther);
    entry = PrepareExit(i, RunAway, i);
    TurnOn(OtherCpu(i), RunAway, i);
  }
  TurnOn(OtherCpu(0), ReleaseAnybody, kFirst);
  ReleaseAnybody(kFirst);
  AwaitOff(OtherCpu(0));
  // A last release may still be under way; then all are off, or parked.
  for (uint32_t i = kFirst; i < others; ++i) {
    AwaitOff(OtherCpu(i));
    const uint32_t entries = OtherCpu(i).entries;
    TurnOn(OtherCpu(i), [](uint64_t) {});
    AwaitEntries(OtherCpu(i), entries + 1);
  }
  Print(storms.load(), " releases");
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_storm) {
  rounds = static_cast<uint32_t>(Argument("rounds", 200));
  EXPECT(ThisCpu().index == 0 && CpuCount() > 3);
  RewriteExit();
  AllDoors();
}
