// SPDX-License-Identifier: Apache-2.0
// Boots, says so, and finds the boot CPU on and the others off.
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

namespace stub {
namespace {

void CheckPower() {
  EXPECT_EQ(AffinityInfo(ThisCpu().mpidr), PSCI_AFFINITY_ON);
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
    EXPECT_EQ(AffinityInfo(OtherCpu(i).mpidr), PSCI_AFFINITY_OFF);
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(hello) {
  Print("hello from ", CpuCount(), " CPUs");
  CheckPower();
}
