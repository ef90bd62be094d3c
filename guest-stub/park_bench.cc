// SPDX-License-Identifier: Apache-2.0
// What it costs to send 1, 8, 32 and 128 CPUs away and to get them back, door
// by door. Away: all leave at one moment; from then until all are seen to have
// left. Back: from the first release to the last CPU's first C++ instruction.
//   park_psci_8, release_psci_8      CPU_OFF and CPU_ON
//   park_page_8, release_page_8      the pages, in mode guest or host
//   install_page_8                   what the old kernel does before, per page
//   park_device_8, release_device_8  the slots
// `most=`: no more than so many.
#include <initializer_list>

#include "guest-stub/bench.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

namespace stub {
namespace {

struct Way {
  const char* name;
  void (*prepare)(uint32_t number);
  void (*leave)(uint64_t number);  // From LeaveAt(); returns to turn off.
  bool (*is_gone)(uint32_t number);
  void (*release)(uint32_t number);
  void (*clean_up)(uint32_t number);
};

void Nothing(uint32_t) {}

bool IsOff(uint32_t number) {
  return AffinityInfo(OtherCpu(number).mpidr) == PSCI_AFFINITY_OFF;
}

constexpr Way kPsci = {
    "psci",
    Nothing,
    [](uint64_t) {},
    IsOff,
    [](uint32_t number) { TurnOn(OtherCpu(number), StampNow, number); },
    Nothing};

constexpr Way kPage = {
    "page",
    [](uint32_t number) { InstallLoop(ParkPage(number), Loop::kProposed); },
    [](uint64_t number) {
      park_enter(ParkPage(static_cast<uint32_t>(number)));
    },
    [](uint32_t number) { return MagicIn(ParkPage(number)) == PARK_MAGIC; },
    [](uint32_t number) {
      StoreExit(ParkPage(number), PrepareExit(number, StampNow, number));
    },
    [](uint32_t number) { WipePage(ParkPage(number)); }};

constexpr Way kDevice = {
    "device",
    Nothing,
    [](uint64_t) { EnterSlot(); },
    IsOff,
    [](uint32_t number) { ReleaseSlot(OtherCpu(number), StampNow, number); },
    Nothing};

struct Leaver {
  const Way* way;
  uint64_t when;
};
constinit Leaver leaver = {};

void LeaveAt(uint64_t number) {
  OpenTimer();
  SleepUntil(leaver.when);
  leaver.way->leave(number);
}

void AwaitAll(uint32_t count, uint64_t pause, bool (*is)(uint32_t number)) {
  for (uint32_t i = 0; i < count; ++i) {
    while (!is(i)) Sleep(pause);
  }
}

void Measure(const Way& way, uint32_t count) {
  Samples installed;
  Samples away;
  Samples back;
  for (uint32_t round = 0; round < RoundsOf(count); ++round) {
    uint64_t begin = Now();
    for (uint32_t i = 0; i < count; ++i) way.prepare(i);
    installed.Add(Now() - begin);

    leaver = {&way, Now() + Ticks(1000 + 1000 * count)};
    for (uint32_t i = 0; i < count; ++i) TurnOn(OtherCpu(i), LeaveAt, i);
    SleepUntil(leaver.when);
    AwaitAll(count, PauseMicroseconds(count), way.is_gone);
    away.Add(Now() - leaver.when);
    Sleep(SettleMicroseconds(count));

    ClearStamps(count);
    begin = Now();
    for (uint32_t i = 0; i < count; ++i) way.release(i);
    back.Add(LastStamp(count) - begin);
    AwaitAll(count, 200, IsOff);
    for (uint32_t i = 0; i < count; ++i) way.clean_up(i);
    Sleep(SettleMicroseconds(count));
  }
  if (way.prepare != Nothing) {
    installed.Report(count, "install_", way.name, "_", count);
  }
  away.Report(1, "park_", way.name, "_", count);
  back.Report(1, "release_", way.name, "_", count);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_bench) {
  using namespace stub;  // NOLINT(google-build-using-namespace)
  GicInitDistributor();
  OpenTimer();
  for (const uint32_t count : {1, 8, 32, 128}) {
    if (count >= CpuCount() || count > Argument("most", 128)) break;
    Measure(kPsci, count);
    if (ParkRegion() != 0) Measure(kPage, count);
    if (ThisMachine().park_device) Measure(kDevice, count);
  }
}
