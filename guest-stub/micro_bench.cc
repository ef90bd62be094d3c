// SPDX-License-Identifier: Apache-2.0
// What calls and accesses cost, as the guest sees it. One line per figure:
//   [bench] NAME nanoseconds N of M
// N for one round: the median of M batches, so that what the host does now and
// then (its timer tick, our own housekeeping) is in none of the figures. The
// loops themselves cost a handful of instructions per round.
//
// Nobody spins here while another CPU is being measured: in virtual time all
// CPUs share one clock, and who spins has it.
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

uint64_t Nanoseconds(uint64_t ticks) {
  return ticks * 1'000'000'000 / READ_SYSREG(cntfrq_el0);
}

constexpr uint32_t kBatches = 101;
uint64_t samples[kBatches];

uint64_t Median(uint32_t count) {
  for (uint32_t i = 1; i < count; ++i) {  // An insertion sort.
    for (uint32_t j = i; j > 0 && samples[j] < samples[j - 1]; --j) {
      const uint64_t larger = samples[j - 1];
      samples[j - 1] = samples[j];
      samples[j] = larger;
    }
  }
  return samples[count / 2];
}

void Report(const char* name, uint32_t batches, uint64_t rounds_per_batch) {
  Print("[bench] ", name, " nanoseconds ",
        Nanoseconds(Median(batches)) / rounds_per_batch, " of ",
        uint64_t{batches});
}

void Measure(const char* name, auto body) {
  constexpr uint64_t kRounds = 10;
  for (uint64_t& sample : samples) {
    const uint64_t begin = Now();
    for (uint64_t i = 0; i < kRounds; ++i) body();
    sample = Now() - begin;
  }
  Report(name, kBatches, kRounds);
}

void OpenTimer() {
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
}

// The VMM resets a CPU's registers when it has been off for a moment.
constexpr uint64_t kSettleMicroseconds = 40'000;

struct alignas(64) Stamp {
  std::atomic<uint64_t> first;
};
Stamp stamps[board::kMaxCpus];

void StampAndLeave(uint64_t index) { stamps[index].first = Now(); }

// From CPU_ON to the target's first C++ instruction, and the same for `count`
// CPUs at once: from the first call to the last CPU's.
void MeasureOn(const char* name, uint32_t count, uint32_t rounds) {
  for (uint32_t round = 0; round < rounds; ++round) {
    for (uint32_t i = 0; i < count; ++i) stamps[i].first = 0;
    const uint64_t begin = Now();
    for (uint32_t i = 0; i < count; ++i) {
      TurnOn(OtherCpu(i), StampAndLeave, i);
    }
    uint64_t last = begin;
    for (uint32_t i = 0; i < count; ++i) {
      while (stamps[i].first.load() == 0) Sleep(200);
      if (stamps[i].first.load() > last) last = stamps[i].first.load();
    }
    samples[round] = last - begin;
    for (uint32_t i = 0; i < count; ++i) {
      while (AffinityInfo(OtherCpu(i).mpidr) != PSCI_AFFINITY_OFF) Sleep(200);
    }
    Sleep(kSettleMicroseconds);
  }
  Report(name, rounds, 1);
}

void LeaveAt(uint64_t when) {
  OpenTimer();
  // Each sleeps on its own, so that all leave at the same moment.
  WRITE_SYSREG(cntv_cval_el0, when);
  WRITE_SYSREG(cntv_ctl_el0, kTimerEnable);
  while (Now() < when) WaitForInterrupt();
  StopTimer();
}

// `count` CPUs turn themselves off at one moment; from that moment until all
// are seen off.
void MeasureOff(const char* name, uint32_t count, uint32_t rounds) {
  for (uint32_t round = 0; round < rounds; ++round) {
    const uint64_t when = Now() + Ticks(1000 + 1000 * count);
    for (uint32_t i = 0; i < count; ++i) TurnOn(OtherCpu(i), LeaveAt, when);
    LeaveAt(when);
    for (uint32_t i = 0; i < count; ++i) {
      while (AffinityInfo(OtherCpu(i).mpidr) != PSCI_AFFINITY_OFF) Sleep(2);
    }
    samples[round] = Now() - when;
    Sleep(kSettleMicroseconds);
  }
  Report(name, rounds, 1);
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
  MeasureOn("cpu_on_1", 1, 11);
  MeasureOff("cpu_off_1", 1, 11);
  if (others >= 8) {
    MeasureOn("cpu_on_8", 8, 5);
    MeasureOff("cpu_off_8", 8, 5);
  }
  if (others >= 32) {
    MeasureOn("cpu_on_32", 32, 5);
    MeasureOff("cpu_off_32", 32, 5);
  }
}
