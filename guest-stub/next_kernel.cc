// SPDX-License-Identifier: Apache-2.0
// What a Linux kexecs into that is no Linux: knows CPU_ON and nothing else,
// asks for all CPUs, says how many it has got, and ends the run.
// expect=refused: none of them is to be had.
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

STUB_PAYLOAD(next_kernel) {
  EXPECT_EQ(Psci(PSCI_VERSION), PSCI_VERSION_1_1);  // As every kernel does.
  const bool refused = HasArgument("expect=refused");
  uint64_t back = 1;
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    Cpu& cpu = OtherCpu(i);
    cpu.start = {&cpu, [](uint64_t) {}, 0};
    const int32_t result = CpuOn(cpu.start);
    EXPECT_EQ(result, refused ? PSCI_RET_ALREADY_ON : PSCI_RET_SUCCESS);
    if (refused) continue;
    AwaitOff(cpu);
    EXPECT_EQ(cpu.entries.load(), 1);
    ++back;
  }
  MarkUp(back);
}
