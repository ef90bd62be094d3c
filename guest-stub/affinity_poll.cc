// SPDX-License-Identifier: Apache-2.0
// AFFINITY_INFO of a CPU that another one turns on again and again: ON or OFF
// and nothing else, and its cluster is never off.
#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

namespace stub {
namespace {

constinit std::atomic<bool> done = false;

void Cycle(uint64_t rounds) {
  Cpu& target = CpuAt(CpuCount() - 1);
  for (uint64_t i = 0; i < rounds; ++i) {
    TurnOn(target, [](uint64_t) {});
    AwaitOff(target);
  }
  done = true;
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(affinity_poll) {
  const Cpu& target = CpuAt(CpuCount() - 1);
  TurnOn(OtherCpu(0), Cycle, Argument("rounds", 500));
  uint64_t seen[2] = {};
  while (!done) {
    const int32_t state = AffinityInfo(target.mpidr);
    EXPECT(state == PSCI_AFFINITY_ON || state == PSCI_AFFINITY_OFF);
    ++seen[state];
    EXPECT_EQ(AffinityInfo(target.mpidr, 1), PSCI_AFFINITY_ON);
  }
  EXPECT_EQ(AffinityInfo(target.mpidr), PSCI_AFFINITY_OFF);
  Print(seen[0], " times on, ", seen[1], " times off");
}
