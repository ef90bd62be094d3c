// SPDX-License-Identifier: Apache-2.0
// Every CPU turns itself off, the boot CPU last: nobody is left to call CPU_ON.
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

STUB_PAYLOAD(all_off) {
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    TurnOn(OtherCpu(i), [](uint64_t) {});
  }
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) AwaitOff(OtherCpu(i));
  AnnouncePass();
  TurnOff();
}
