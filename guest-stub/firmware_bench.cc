// SPDX-License-Identifier: Apache-2.0
// CPU_ON where firmware may be slow: from the first call to the last CPU's
// first C++ instruction, of one CPU (cpu_on_one) and of all (cpu_on_all). Each
// turns itself off again. Who waits sleeps once, for long enough: in virtual
// time all CPUs share one clock, and who polls has it.
#include "guest-stub/bench.h"
#include "guest-stub/gic.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

namespace stub {
namespace {

constexpr uint32_t kRounds = 5;
constexpr uint64_t kPatience = 20'000;  // us; more than all take.

void Measure(const char* name, uint32_t count) {
  Samples samples;
  for (uint32_t round = 0; round < kRounds; ++round) {
    ClearStamps(count);
    const uint64_t begin = Now();
    for (uint32_t i = 0; i < count; ++i) {
      TurnOn(OtherCpu(i), StampNow, i);
    }
    Sleep(kPatience);
    samples.Add(LastStamp(count) - begin);
    for (uint32_t i = 0; i < count; ++i) AwaitOff(OtherCpu(i));
    Sleep(SettleMicroseconds(count));
  }
  samples.Report(1, name);
  samples.ReportFastest(name);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(firmware_bench) {
  using namespace stub;  // NOLINT(google-build-using-namespace)
  GicInitDistributor();
  OpenTimer();
  Measure("cpu_on_one", 1);
  Measure("cpu_on_all", CpuCount() - 1);
}
