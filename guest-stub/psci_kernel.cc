// SPDX-License-Identifier: Apache-2.0
// A next kernel that knows of CPU_ON and CPU_OFF, and of nothing else: takes
// all CPUs, turns them off again and kexecs into the initrd's first image.
// expect=refused: none of them is to be had, and it goes on without.
// last: marks how many it has got, and ends the run. So a Linux may kexec here.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/kexec.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

namespace stub {
namespace {

// Asleep between two looks: who spins leaves others no time to go off.
void AwaitAllOff() {
  const Deadline deadline;
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    while (AffinityInfo(OtherCpu(i).mpidr) != PSCI_AFFINITY_OFF) {
      if (deadline.Passed()) FAIL("CPU ", Hex{OtherCpu(i).mpidr}, " stays on");
      StartTimer(100);
      WaitForInterrupt();
    }
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(psci_kernel) {
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  EXPECT_EQ(Psci(PSCI_VERSION), PSCI_VERSION_1_1);  // As every kernel does.
  const bool refused = HasArgument("expect=refused");
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    Cpu& cpu = OtherCpu(i);
    cpu.start = {&cpu, [](uint64_t) {}, 0};
    const int32_t result = CpuOn(cpu.start);
    EXPECT_EQ(result, refused ? PSCI_RET_ALREADY_ON : PSCI_RET_SUCCESS);
  }
  if (!refused) AwaitAllOff();
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    EXPECT_EQ(OtherCpu(i).entries.load(), refused ? 0 : 1);
  }
  if (HasArgument("last")) {
    MarkUp(refused ? 1 : CpuCount());
    return;
  }
  ++TheHandover().others;
  Kexec();
}
