// SPDX-License-Identifier: Apache-2.0
// Several hundred CPUs: on until all are, off at once, and all of it again.
#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

namespace stub {
namespace {

constinit std::atomic<uint32_t> up = 0;
constinit std::atomic<uint32_t> released = 0;

void Wait(uint64_t round) {
  up.fetch_add(1);
  Await(released, static_cast<uint32_t>(round));
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(wide) {
  const uint32_t others = CpuCount() - 1;
  for (uint32_t round = 1; round <= Argument("rounds", 2); ++round) {
    up = 0;
    for (uint32_t i = 0; i < others; ++i) TurnOn(OtherCpu(i), Wait, round);
    Await(up, others);
    released = round;
    for (uint32_t i = 0; i < others; ++i) {
      AwaitOff(OtherCpu(i));
      EXPECT_EQ(OtherCpu(i).entries.load(), round);
    }
  }
  Print(others, " CPUs, the last one ", Hex{OtherCpu(others - 1).mpidr});
}
