// SPDX-License-Identifier: Apache-2.0
// CPU_ON of a CPU that is just turning itself off, by everybody at once: each
// SUCCESS is one entry, and no other answer than ALREADY_ON says there is none.
#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

namespace stub {
namespace {

constinit std::atomic<uint32_t> done = 0;
constinit std::atomic<uint32_t> refused = 0;
constinit Start start;

void Chase(uint64_t rounds) {
  for (uint64_t successes = 0; successes < rounds;) {
    const int32_t result = CpuOn(start);
    if (result == PSCI_RET_SUCCESS) {
      ++successes;
    } else {
      EXPECT_EQ(result, PSCI_RET_ALREADY_ON);
      refused.fetch_add(1);
    }
  }
  done.fetch_add(1);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(on_off_chase) {
  const uint64_t rounds = Argument("rounds", 500);
  const uint32_t chasers = CpuCount() - 1;
  Cpu& target = OtherCpu(chasers - 1);
  start = {&target, [](uint64_t) {}, 0};
  for (uint32_t i = 0; i + 1 < chasers; ++i) TurnOn(OtherCpu(i), Chase, rounds);
  Chase(rounds);
  Await(done, chasers);
  AwaitOff(target);
  EXPECT_EQ(target.entries.load(), rounds * chasers);
  Print(rounds * chasers, " entries, ", refused.load(), " refusals");
}
