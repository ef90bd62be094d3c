// SPDX-License-Identifier: Apache-2.0
// All CPUs but one parked, by door=psci, page or device, for `seconds=` in
// which the payload does nothing: what do they cost the host meanwhile? Then
// all come back.
#include "guest-stub/bench.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/park.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

STUB_PAYLOAD(park_idle) {
  using namespace stub;  // NOLINT(google-build-using-namespace)
  const uint32_t others = CpuCount() - 1;
  const bool page = HasArgument("door=page");
  const bool device = HasArgument("door=device");
  GicInitDistributor();
  OpenTimer();
  for (uint32_t i = 0; i < others; ++i) {
    if (page) InstallLoop(ParkPage(i), Loop::kProposed);
    if (page) TurnOn(OtherCpu(i), park_enter, ParkPage(i));
    if (device) TurnOn(OtherCpu(i), [](uint64_t) { EnterSlot(); });
  }
  for (uint32_t i = 0; i < others; ++i) {
    page ? AwaitMagic(ParkPage(i)) : AwaitOff(OtherCpu(i));
  }
  Print("[stub] parked");
  Sleep(Argument("seconds", 4) * 1'000'000);
  Print("[stub] parked no longer");
  ClearStamps(others);
  for (uint32_t i = 0; i < others; ++i) {
    if (page) {
      StoreExit(ParkPage(i), PrepareExit(i, StampAndLeave, i));
    } else if (device) {
      ReleaseSlot(OtherCpu(i), StampAndLeave, i);
    } else {
      TurnOn(OtherCpu(i), StampAndLeave, i);
    }
  }
  LastStamp(others);
}
