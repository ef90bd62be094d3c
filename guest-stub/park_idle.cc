// SPDX-License-Identifier: Apache-2.0
// All CPUs but one parked, by door=psci, page or device, for `ms=` in which the
// payload does nothing, and as long again for who looks what they cost the host
// meanwhile. Then all come back.
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
  Sleep(SettleMicroseconds(others));
  Print("[stub] parked");
  Sleep(Argument("ms", 1000) * 1000);
  Print("[stub] parked still");
  Sleep(Argument("ms", 1000) * 1000);
  ClearStamps(others);
  for (uint32_t i = 0; i < others; ++i) {
    if (page) {
      StoreExit(ParkPage(i), PrepareExit(i, StampNow, i));
    } else if (device) {
      ReleaseSlot(OtherCpu(i), StampNow, i);
    } else {
      TurnOn(OtherCpu(i), StampNow, i);
    }
  }
  LastStamp(others);
}
