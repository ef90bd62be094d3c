// SPDX-License-Identifier: Apache-2.0
// A next kernel that knows of CPU_ON and CPU_OFF, and of nothing else: takes
// all CPUs, turns them off again and kexecs into the initrd's first image.
// expect=refused: none of them is to be had, and it goes on without.
#include "guest-stub/devicetree.h"
#include "guest-stub/kexec.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

STUB_PAYLOAD(psci_kernel) {
  Handover& handover = TheHandover();
  const bool refused = HasArgument("expect=refused");
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    Cpu& cpu = OtherCpu(i);
    cpu.start = {&cpu, [](uint64_t) {}, 0};
    const int32_t result = CpuOn(cpu.start);
    EXPECT_EQ(result, refused ? PSCI_RET_ALREADY_ON : PSCI_RET_SUCCESS);
    if (!refused) AwaitOff(cpu);
    EXPECT_EQ(cpu.entries.load(), refused ? 0 : 1);
  }
  ++handover.others;
  Kexec();
}
