// SPDX-License-Identifier: Apache-2.0
// What calls and accesses cost, as the guest sees it. The loops themselves cost
// a handful of instructions per round.
#include <initializer_list>

#include "guest-stub/bench.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/gic.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "vmm/devices/mark_abi.h"

namespace stub {
namespace {

constexpr uint64_t kMarkMagic = board::kMarkDevice + MARK_REG_MAGIC;
constexpr uint32_t kIpi = 1;

constinit std::atomic<uint32_t> waiting = 0;
constinit std::atomic<bool> leaving = false;

void Measure(const char* name, auto body) {
  constexpr int kBatches = 101;
  constexpr uint64_t kRounds = 10;
  static constinit Samples samples;
  for (int batch = 0; batch < kBatches; ++batch) {
    const uint64_t begin = Now();
    for (uint64_t i = 0; i < kRounds; ++i) body();
    samples.Add(Now() - begin);
  }
  samples.Report(kRounds, name);
}

void AwaitAllOff(uint32_t count, uint64_t pause) {
  for (uint32_t i = 0; i < count; ++i) {
    while (AffinityInfo(OtherCpu(i).mpidr) != PSCI_AFFINITY_OFF) Sleep(pause);
  }
}

// From CPU_ON to the target's first C++ instruction, and the same for `count`
// CPUs at once: from the first call to the last CPU's.
void MeasureOn(uint32_t count, uint32_t rounds) {
  Samples samples;
  for (uint32_t round = 0; round < rounds; ++round) {
    ClearStamps(count);
    const uint64_t begin = Now();
    for (uint32_t i = 0; i < count; ++i) {
      TurnOn(OtherCpu(i), StampNow, i);
    }
    samples.Add(LastStamp(count) - begin);
    AwaitAllOff(count, 200);
    Sleep(SettleMicroseconds(count));
  }
  samples.Report(1, "cpu_on_", count);
}

// Each sleeps on its own, so that all leave at the same moment.
void LeaveAt(uint64_t when) {
  OpenTimer();
  SleepUntil(when);
}

// `count` CPUs turn themselves off at one moment; from that moment until all
// are seen off.
void MeasureOff(uint32_t count, uint32_t rounds) {
  Samples samples;
  for (uint32_t round = 0; round < rounds; ++round) {
    const uint64_t when = Now() + Ticks(1000 + 1000 * count);
    for (uint32_t i = 0; i < count; ++i) TurnOn(OtherCpu(i), LeaveAt, when);
    LeaveAt(when);
    AwaitAllOff(count, PauseMicroseconds(count));
    samples.Add(Now() - when);
    Sleep(SettleMicroseconds(count));
  }
  samples.Report(1, "cpu_off_", count);
}

// Asleep until an IPI comes, and again until the one comes that it leaves with.
void AnswerIpis(uint64_t index) {
  GicInitCpu();
  GicClear(1u << kIpi);
  GicEnable(kIpi);
  waiting.fetch_add(1);
  for (bool last = false; !last;) {
    WaitForInterrupt();
    const uint32_t acknowledged = GicAcknowledge();
    if (GicIntid(acknowledged) != kIpi) continue;
    last = leaving;
    StampNow(index);
    GicEnd(acknowledged);
  }
}

// An IPI to `count` CPUs that sleep: from before it is sent until the last one
// has taken it, having nothing to do but that; and until all are seen off that
// leave with it.
void MeasureIpi(uint32_t count, uint32_t rounds) {
  Samples taken;
  Samples off;
  for (uint32_t round = 0; round < rounds; ++round) {
    waiting = 0;
    leaving = false;
    for (uint32_t i = 0; i < count; ++i) TurnOn(OtherCpu(i), AnswerIpis, i);
    while (waiting != count) Sleep(200);
    Sleep(1000);

    ClearStamps(count);
    uint64_t begin = Now();
    GicSendSgiToOthers(kIpi, count);
    taken.Add(LastStamp(count) - begin);
    Sleep(1000);

    leaving = true;
    begin = Now();
    GicSendSgiToOthers(kIpi, count);
    AwaitAllOff(count, 20);
    off.Add(Now() - begin);
    Sleep(SettleMicroseconds(count));
  }
  taken.Report(1, "ipi_", count);
  off.Report(1, "ipi_off_", count);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(micro_bench) {
  using namespace stub;  // NOLINT(google-build-using-namespace)
  GicInitDistributor();
  OpenTimer();
  Measure("hvc_kvm", [] { Psci(SMCCC_VERSION_ID); });
  Measure("psci_version", [] { Psci(PSCI_VERSION); });
  Measure("psci_affinity_info", [] { AffinityInfo(ThisCpu().mpidr); });
  Measure("mmio_read", [] { ReadMmio32(kMarkMagic); });
  Measure("mmio_write", [] { WriteMmio32(kMarkMagic, 0); });
  const uint32_t others = CpuCount() - 1;
  for (const uint32_t count : {1, 8, 32, 128}) {
    if (count > others) break;
    const uint32_t rounds = RoundsOf(count);
    MeasureOn(count, rounds);
    MeasureOff(count, rounds);
    MeasureIpi(count, rounds);
  }
  Measure("ctr_el0", [] { (void)READ_SYSREG(ctr_el0); });
}
