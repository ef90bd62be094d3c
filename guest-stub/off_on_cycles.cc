// SPDX-License-Identifier: Apache-2.0
// All CPUs but one on, all off, again and again: none is lost, none is started
// twice.
#include "guest-stub/devicetree.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

STUB_PAYLOAD(off_on_cycles) {
  const uint64_t rounds = Argument("rounds", 100);
  const uint32_t others = CpuCount() - 1;
  for (uint64_t round = 1; round <= rounds; ++round) {
    for (uint32_t i = 0; i < others; ++i) TurnOn(OtherCpu(i), [](uint64_t) {});
    for (uint32_t i = 0; i < others; ++i) {
      AwaitOff(OtherCpu(i));
      EXPECT_EQ(OtherCpu(i).entries.load(), round);
    }
  }
  Print(rounds * others, " cycles");
}
