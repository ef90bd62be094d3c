// SPDX-License-Identifier: Apache-2.0
// Kexecs into itself `kexecs=` times, as Linux does by hotplug: all CPUs but
// one leave by CPU_OFF and come back by CPU_ON, and marks say when. After
// kexec `early=` and after the last one it sleeps for `ms=`, for who looks what
// the VMM holds then.
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

constexpr uint32_t kStopSgi = 1;
// Microseconds before the next kexec. Linux takes longer between two, so the
// VMM reads the events of one before those of the next come.
constexpr uint64_t kPause = 100'000;

constinit std::atomic<uint32_t> arrived = 0;

uint32_t Others() { return CpuCount() - 1; }

// Returns, which is CPU_OFF, when it is told to leave.
void Run(uint64_t) {
  GicInitCpu();
  GicClear(~0u);
  GicEnable(kStopSgi);
  arrived.fetch_add(1);
  while (GicIntid(GicAcknowledge()) != kStopSgi) WaitForInterrupt();
}

// Looks five times a millisecond, as Linux does while it waits for a CPU.
void Await(auto condition, const char* what) {
  for (const Deadline deadline; !condition(); Sleep(200)) {
    if (deadline.Passed()) {
      FAIL("kexec ", TheHandover().kexecs, ": waited 20 s for ", what);
    }
  }
}

void TakeAll() {
  for (uint32_t i = 0; i < Others(); ++i) TurnOn(OtherCpu(i), Run);
  Await([] { return arrived == Others(); }, "all CPUs");
}

void SendAway() {
  for (uint32_t i = 0; i < Others(); ++i) {
    const Cpu& cpu = OtherCpu(i);
    GicSendSgi(kStopSgi, cpu);
    Await([&] { return AffinityInfo(cpu.mpidr) == PSCI_AFFINITY_OFF; },
          "a CPU to leave");
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(kexec_again) {
  Handover& handover = TheHandover();
  const uint64_t kexecs = Argument("kexecs", 100);
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  EXPECT_EQ(Psci(PSCI_VERSION), PSCI_VERSION_1_1);  // As every kernel does.
  TakeAll();
  MarkUp(CpuCount());
  if (handover.kexecs == Argument("early", 5) || handover.kexecs == kexecs) {
    Print("[stub] sleeps after kexec ", handover.kexecs, ".");
    Sleep(Argument("ms", 0) * 1000);
  }
  if (handover.kexecs == kexecs) return;
  Sleep(kPause);
  MarkKexec(CpuCount());
  SendAway();
  ++handover.kexecs;
  Kexec();
}
