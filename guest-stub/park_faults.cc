// SPDX-License-Identifier: Apache-2.0
// Each way to get parking wrong that the VMM has a name for: `fault=NAME`. The
// payload plays it and shows that no CPU is lost by it; the VMM has to name it.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

namespace stub {
namespace {

constexpr uint64_t kMoment = 5'000;  // Microseconds: nothing happens, still.
// The VMM waits for a magic as long as the proposal's kernel: a second.
constexpr uint64_t kOverdue = 2'500'000;
constexpr uint64_t kGuard = 65536;

void Leave(uint64_t) {}

void Enter(uint32_t number, uint64_t page) {
  TurnOn(OtherCpu(number), park_enter, page);
}

void Park(uint32_t number) {
  InstallLoop(ParkPage(number), Loop::kProposed);
  Enter(number, ParkPage(number));
  AwaitMagic(ParkPage(number));
}

void Release(uint32_t number) {
  StoreExit(ParkPage(number), PrepareExit(number, Leave));
}

void CheckOff(uint32_t number, uint32_t entries) {
  AwaitEntries(OtherCpu(number), entries);
  AwaitOff(OtherCpu(number));
  Sleep(kMoment);
  EXPECT_EQ(OtherCpu(number).entries.load(), entries);
}

void StartByPsci(uint32_t number, uint32_t entries) {
  AwaitOff(OtherCpu(number));
  TurnOn(OtherCpu(number), Leave);
  CheckOff(number, entries);
}

// --- Releases ----------------------------------------------------------------

void ReleaseBeforePark() {
  InstallLoop(ParkPage(0), Loop::kOther);
  Release(0);
  Enter(0, ParkPage(0));
  CheckOff(0, 2);
}

void DoubleRelease() {
  Park(0);
  Release(0);
  Release(0);
  CheckOff(0, 2);
}

void BadExit(uint64_t exit) {
  const uint64_t page = ParkPage(0);
  StoreExit(page, exit);
  Sleep(kMoment);
  EXPECT_EQ(AffinityInfo(OtherCpu(0).mpidr), PSCI_AFFINITY_OFF);
  EXPECT_EQ(ExitIn(page), 0);
  EXPECT_EQ(MagicIn(page), PARK_MAGIC);
}

void BadExits(uint64_t one, uint64_t another) {
  Park(0);
  BadExit(one);
  BadExit(another);
  Release(0);
  CheckOff(0, 2);
}

void ExitMisaligned() {
  const uint64_t entry = PrepareExit(0, Leave);
  BadExits(entry + 1, entry + 2);
}

void ExitNotRam() { BadExits(board::kNoRam, ~uint64_t{3}); }

void ExitInMmio() {
  BadExits(board::kPl011, board::kParkDevice + PARK_REG_MAGIC);
}

void ExitInRegion() {
  BadExits(ParkPage(0) + PARK_PAGE_TEXT, ParkRegion() - kGuard);
}

// --- Pages -------------------------------------------------------------------

constinit std::atomic<uint32_t> may_leave = 0;

// CPU 0 runs on; it can still park.
void MagicWithoutCpu() {
  Park(1);
  InstallLoop(ParkPage(0), Loop::kProposed);
  TurnOn(OtherCpu(0), [](uint64_t) { Await(may_leave, 1); });
  WriteMmio64(ParkPage(0) + board::kAlias + PARK_PAGE_MAGIC, PARK_MAGIC);
  Sleep(kOverdue);
  EXPECT_EQ(AffinityInfo(OtherCpu(0).mpidr), PSCI_AFFINITY_ON);
  may_leave = 1;
  AwaitOff(OtherCpu(0));
  Park(0);
  Release(0);
  Release(1);
  CheckOff(0, 3);
  CheckOff(1, 2);
}

void CpuWithoutMagic() {
  InstallLoop(ParkPage(1), Loop::kProposed);
  Park(0);
  Sleep(kOverdue);
  Release(0);
  CheckOff(0, 2);
}

void PageShared() {
  Park(0);
  Enter(1, ParkPage(0));
  AwaitOff(OtherCpu(1));
  EXPECT_EQ(OtherCpu(1).entries.load(), 1);
  Release(0);
  CheckOff(0, 2);
  StartByPsci(1, 2);
}

void StrangePage(uint64_t page) {
  InstallLoop(page, Loop::kProposed);
  Enter(0, page);
  StartByPsci(0, 2);
}

void PageOfCpu0() { StrangePage(ParkRegion() - kParkPageSize); }

void PagePastRegion() {
  StrangePage(board::kRam + ThisMachine().ram_size - kGuard);
}

void PageRewritten() {
  Park(0);
  WriteMmio64(ParkPage(0) + board::kAlias + PARK_PAGE_TEXT, 0);
  Sleep(kMoment);
  EXPECT_EQ(MagicIn(ParkPage(0)), PARK_MAGIC);
  Release(0);
  CheckOff(0, 2);
}

void ForeignLoop() {
  Park(0);
  InstallLoop(ParkPage(1), Loop::kOther);
  Enter(1, ParkPage(1));
  AwaitMagic(ParkPage(1));
  Release(0);
  Release(1);
  CheckOff(0, 2);
  CheckOff(1, 2);
}

// --- Slots -------------------------------------------------------------------

void StoreToSlot(uint64_t slot, uint64_t magic, uint64_t status) {
  WriteMmio64(slot + PARK_REG_MAGIC, magic);
  EXPECT_EQ(ReadMmio64(slot + PARK_REG_STATUS), status);
}

void ForeignSlot() {
  TurnOn(OtherCpu(0), [](uint64_t) {
    StoreToSlot(ParkSlot(OtherCpu(1)), PARK_MAGIC, PARK_STATUS_FOREIGN_SLOT);
  });
  CheckOff(0, 1);
}

void BadMagic() {
  TurnOn(OtherCpu(0), [](uint64_t) {
    StoreToSlot(ParkSlot(ThisCpu()), PARK_MAGIC + 1, PARK_STATUS_BAD_MAGIC);
  });
  CheckOff(0, 1);
}

void ReleaseNotParked() {
  EXPECT_EQ(ReleaseSlot(OtherCpu(0), Leave), PARK_STATUS_NOT_PARKED);
  EXPECT_EQ(ReleaseSlot(ThisCpu(), Leave), PARK_STATUS_NOT_PARKED);
  CheckOff(0, 0);
}

// --- --park guest ------------------------------------------------------------

void CpuOnWhileSpinning() {
  Park(0);
  Cpu& cpu = OtherCpu(0);
  cpu.start = {&cpu, Leave, 0};
  EXPECT_EQ(CpuOn(cpu.start), PSCI_RET_ALREADY_ON);
  Release(0);
  CheckOff(0, 2);
}

constexpr struct {
  const char* argument;
  void (*play)();
} kFaults[] = {
    {"fault=release-before-park", ReleaseBeforePark},
    {"fault=double-release", DoubleRelease},
    {"fault=exit-not-ram", ExitNotRam},
    {"fault=exit-misaligned", ExitMisaligned},
    {"fault=exit-in-region", ExitInRegion},
    {"fault=exit-in-mmio", ExitInMmio},
    {"fault=magic-without-cpu", MagicWithoutCpu},
    {"fault=cpu-without-magic", CpuWithoutMagic},
    {"fault=page-shared", PageShared},
    {"fault=page-of-cpu0", PageOfCpu0},
    {"fault=page-past-region", PagePastRegion},
    {"fault=page-rewritten", PageRewritten},
    {"fault=foreign-loop", ForeignLoop},
    {"fault=park-foreign-slot", ForeignSlot},
    {"fault=park-bad-magic", BadMagic},
    {"fault=release-not-parked", ReleaseNotParked},
    {"fault=cpu-on-while-spinning", CpuOnWhileSpinning},
};

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_faults) {
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  for (const auto& fault : kFaults) {
    if (HasArgument(fault.argument)) return fault.play();
  }
  FAIL("no fault= that I know");
}
