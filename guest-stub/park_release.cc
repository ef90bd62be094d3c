// SPDX-License-Identifier: Apache-2.0
// A next kernel that releases its parked CPUs all at once, in any order, some
// of them only, or late: who is released comes, once; who is not stays.
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

constexpr uint64_t kLate = 1'500'000;  // Microseconds.

uint32_t Others() { return CpuCount() - 1; }

void ParkAll() {
  for (uint32_t i = 0; i < Others(); ++i) {
    InstallLoop(ParkPage(i), Loop::kProposed);
    TurnOn(OtherCpu(i), park_enter, ParkPage(i));
  }
  for (uint32_t i = 0; i < Others(); ++i) AwaitMagic(ParkPage(i));
}

void Release(uint32_t number) {
  StoreExit(ParkPage(number), PrepareExit(number, [](uint64_t) {}));
}

// Each has entered `entries` times, and turned off.
void CheckAll(uint32_t entries) {
  for (uint32_t i = 0; i < Others(); ++i) {
    AwaitEntries(OtherCpu(i), entries);
    AwaitOff(OtherCpu(i));
  }
}

void AllBackwards() {
  ParkAll();
  for (uint32_t i = Others(); i-- > 0;) Release(i);
  CheckAll(2);
}

void SomeThenTheRest() {
  ParkAll();
  for (uint32_t i = 0; i < Others(); i += 2) Release(i);
  for (uint32_t i = 0; i < Others(); i += 2) AwaitEntries(OtherCpu(i), 4);
  for (uint32_t i = 1; i < Others(); i += 2) {
    EXPECT_EQ(OtherCpu(i).entries.load(), 3);
    EXPECT_EQ(MagicIn(ParkPage(i)), PARK_MAGIC);
    Release(i);
  }
  CheckAll(4);
}

void Late() {
  ParkAll();
  Sleep(kLate);
  for (uint32_t i = 0; i < Others(); ++i) {
    EXPECT_EQ(OtherCpu(i).entries.load(), 5);
    EXPECT_EQ(MagicIn(ParkPage(i)), PARK_MAGIC);
    Release(i);
  }
  CheckAll(6);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_release) {
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  AllBackwards();
  SomeThenTheRest();
  Late();
  // And none: the run ends with CPUs that are parked.
  ParkAll();
}
