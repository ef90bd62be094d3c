// SPDX-License-Identifier: Apache-2.0
// All CPUs but one leave and come back, `rounds=` times, each by a door of its
// own choice, with a random delay before every step. Whichever door it left by,
// CPU_ON lets it in; so does its own (guest: the page only). None is lost, none
// comes twice.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/random.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"

namespace stub {
namespace {

constexpr uint32_t kLeaveSgi = 1;
constexpr uint32_t kLongestDelay = 200;  // Microseconds.

enum Door : uint32_t { kPsci, kPage, kDevice, kDoors };

struct alignas(64) Worker {
  std::atomic<uint32_t> ready;  // The round it can be told to leave in.
  Door door;
  uint32_t delay;
  Loop loop;
  bool own_door;  // Whether it came back by it.
};
constinit Worker workers[board::kMaxCpus] = {};
constinit uint32_t round = 0;

void Delay(uint32_t microseconds) {
  for (const uint64_t end = Now() + Ticks(microseconds); Now() < end;) {
  }
}

void Work(uint64_t number) {
  Worker& self = workers[number];
  GicInitCpu();
  GicClear(~0u);
  GicEnable(kLeaveSgi);
  self.ready = ThisCpu().entries.load();
  while (GicIntid(GicAcknowledge()) != kLeaveSgi) WaitForInterrupt();
  Delay(self.delay);
  if (self.door == kPage) park_enter(ParkPage(static_cast<uint32_t>(number)));
  if (self.door == kDevice) EnterSlot();
}

// One CPU's way out: the same on both sides of the SGI.
void SendAway(Random& random, uint32_t number) {
  Worker& worker = workers[number];
  const Deadline deadline;
  while (worker.ready != round) {
    if (deadline.Passed()) {
      FAIL("round ", round, ": no CPU ", number, ", which left by door ",
           uint32_t{worker.door}, ", with loop ",
           static_cast<uint32_t>(worker.loop),
           worker.own_door ? ", and came by it" : ", and came by CPU_ON");
    }
    Sleep(100);
  }
  EXPECT_EQ(OtherCpu(number).entries.load(), round);
  worker.door = static_cast<Door>(random.Below(kDoors));
  if (worker.door == kDevice && !ThisMachine().park_device) worker.door = kPsci;
  worker.delay = random.Below(kLongestDelay);
  if (worker.door == kPage) {
    constexpr Loop kLoops[] = {Loop::kProposed, Loop::kOther, Loop::kPair};
    worker.loop = kLoops[random.Below(3)];
    InstallLoop(ParkPage(number), worker.loop);
  }
  GicSendSgi(kLeaveSgi, OtherCpu(number));
}

void AwaitGone(uint32_t number) {
  if (workers[number].door == kPage) {
    AwaitMagic(ParkPage(number));
  } else {
    AwaitOff(OtherCpu(number));
  }
}

void TakeBack(Random& random, uint32_t number) {
  const Door door = workers[number].door;
  Cpu& cpu = OtherCpu(number);
  const bool own_door = !ThisMachine().park_device || random.Below(2) == 0;
  workers[number].own_door = own_door;
  if (door == kPage && own_door) {
    StoreExit(ParkPage(number), PrepareExit(number, Work, number));
    // At once where the VMM has latched it, else in the next round.
    if (ThisMachine().park_device) WipePage(ParkPage(number));
  } else if (door == kDevice && own_door) {
    EXPECT_EQ(ReleaseSlot(cpu, Work, number), PARK_STATUS_OK);
  } else {
    TurnOn(cpu, Work, number);
  }
}

void OneRound(Random& random) {
  const uint32_t others = CpuCount() - 1;
  for (uint32_t i = 0; i < others; ++i) {
    Delay(random.Below(kLongestDelay));
    SendAway(random, i);
  }
  const uint32_t first = random.Below(others);
  ++round;
  for (uint32_t i = 0; i < others; ++i) {
    const uint32_t number = (first + i) % others;
    AwaitGone(number);
    Delay(random.Below(kLongestDelay));
    TakeBack(random, number);
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_soak) {
  const uint64_t rounds = Argument("rounds", 100);
  const uint32_t others = CpuCount() - 1;
  Random random(Argument("seed", 1));
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  ++round;
  for (uint32_t i = 0; i < others; ++i) TurnOn(OtherCpu(i), Work, i);
  while (round <= rounds) OneRound(random);
  for (uint32_t i = 0; i < others; ++i) AwaitEntries(OtherCpu(i), round);
  Print(rounds * others, " cycles");
}
