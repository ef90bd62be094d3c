// SPDX-License-Identifier: Apache-2.0
// What calls and accesses cost, as the guest sees it. The loops themselves cost
// a handful of instructions per round.
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
void MeasureOn(const char* name, uint32_t count, uint32_t rounds) {
  Samples samples;
  for (uint32_t round = 0; round < rounds; ++round) {
    ClearStamps(count);
    const uint64_t begin = Now();
    for (uint32_t i = 0; i < count; ++i) {
      TurnOn(OtherCpu(i), StampAndLeave, i);
    }
    samples.Add(LastStamp(count) - begin);
    AwaitAllOff(count, 200);
    Sleep(kSettleMicroseconds);
  }
  samples.Report(1, name);
}

// Each sleeps on its own, so that all leave at the same moment.
void LeaveAt(uint64_t when) {
  OpenTimer();
  SleepUntil(when);
}

// `count` CPUs turn themselves off at one moment; from that moment until all
// are seen off.
void MeasureOff(const char* name, uint32_t count, uint32_t rounds) {
  Samples samples;
  for (uint32_t round = 0; round < rounds; ++round) {
    const uint64_t when = Now() + Ticks(1000 + 1000 * count);
    for (uint32_t i = 0; i < count; ++i) TurnOn(OtherCpu(i), LeaveAt, when);
    LeaveAt(when);
    AwaitAllOff(count, 2);
    samples.Add(Now() - when);
    Sleep(kSettleMicroseconds);
  }
  samples.Report(1, name);
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
  if (others == 0) return;
  MeasureOn("cpu_on_1", 1, 31);
  MeasureOff("cpu_off_1", 1, 31);
  if (others >= 8) {
    MeasureOn("cpu_on_8", 8, 25);
    MeasureOff("cpu_off_8", 8, 25);
  }
  if (others >= 32) {
    MeasureOn("cpu_on_32", 32, 25);
    MeasureOff("cpu_off_32", 32, 25);
  }
}
