// SPDX-License-Identifier: Apache-2.0
// All CPUs call CPU_ON of the same one at once, thousands of times. Each time
// one of them gets SUCCESS, the others ALREADY_ON, and the target starts once,
// with the winner's context.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

namespace stub {
namespace {

constinit std::atomic<uint32_t> current = 0;     // The round that is on.
constinit std::atomic<uint32_t> arrived = 0;     // Racers that have an answer.
constinit std::atomic<uint32_t> winners = 0;     // Of them, with SUCCESS.
constinit std::atomic<uint32_t> winner = 0;      // The CPU.
constinit std::atomic<uint32_t> entered = 0;     // The round the target saw,
constinit std::atomic<uint32_t> entered_by = 0;  // and who started it.
constinit std::atomic<uint32_t> released = 0;    // The round it may leave.
constinit Start starts[board::kMaxCpus];
constinit uint32_t rounds = 0;

void Target(uint64_t starter) {
  const uint32_t now = current;
  entered_by = static_cast<uint32_t>(starter);
  entered = now;
  Await(released, now);
}

void RaceOnce() {
  const uint32_t self = ThisCpu().index;
  const int32_t result = CpuOn(starts[self]);
  if (result == PSCI_RET_SUCCESS) {
    winner = self;
    winners.fetch_add(1);
  } else {
    EXPECT_EQ(result, PSCI_RET_ALREADY_ON);
  }
  arrived.fetch_add(1);
}

void Racer(uint64_t) {
  for (uint32_t round = 1; round <= rounds; ++round) {
    Await(current, round);
    RaceOnce();
  }
}

void Referee(Cpu& target, uint32_t racers) {
  for (uint32_t round = 1; round <= rounds; ++round) {
    winners = 0;
    arrived = 0;
    current = round;
    RaceOnce();
    Await(arrived, racers);
    EXPECT_EQ(winners.load(), 1);
    Await(entered, round);
    EXPECT_EQ(entered_by.load(), winner.load());
    released = round;
    AwaitOff(target);
    EXPECT_EQ(target.entries.load(), round);
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(cpu_on_race) {
  rounds = static_cast<uint32_t>(Argument("rounds", 1000));
  const uint32_t others = CpuCount() - 1;
  Cpu& target = OtherCpu(others - 1);
  for (uint32_t i = 0; i < CpuCount(); ++i) starts[i] = {&target, Target, i};
  for (uint32_t i = 0; i + 1 < others; ++i) TurnOn(OtherCpu(i), Racer);
  Referee(target, others);
  Print(rounds, " rounds");
}
