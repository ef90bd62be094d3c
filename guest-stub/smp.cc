// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/smp.h"

#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/timer.h"

extern "C" {
[[noreturn]] void stub_main(const void* devicetree);
[[noreturn]] void stub_secondary(const stub::Start* start);
void secondary_entry();
}

namespace stub {
namespace {

constexpr uint32_t kStackSize = 4096;

constinit Cpu cpus[board::kMaxCpus];
alignas(16)
    [[gnu::section(".stacks")]] char stacks[board::kMaxCpus][kStackSize];

void IntroduceCpus() {
  const Machine& machine = ThisMachine();
  const uint64_t self = READ_SYSREG(mpidr_el1) & MPIDR_AFFINITY_MASK;
  bool found = false;
  for (uint32_t i = 0; i < machine.cpus; ++i) {
    cpus[i].stack_top = reinterpret_cast<uint64_t>(&stacks[i][kStackSize]);
    cpus[i].mpidr = machine.mpidrs[i];
    cpus[i].index = i;
    if (machine.mpidrs[i] == self) {
      found = true;
      WRITE_SYSREG(tpidr_el1, reinterpret_cast<uint64_t>(&cpus[i]));
    }
  }
  EXPECT(found);
}

}  // namespace

uint32_t CpuCount() { return ThisMachine().cpus; }

Cpu& CpuAt(uint32_t index) {
  EXPECT(index < CpuCount());
  return cpus[index];
}

Cpu& ThisCpu() { return *reinterpret_cast<Cpu*>(READ_SYSREG(tpidr_el1)); }

Cpu& OtherCpu(uint32_t number) {
  return CpuAt(number < ThisCpu().index ? number : number + 1);
}

int32_t CpuOn(const Start& start) {
  // The target reads it with its MMU on: coherent, but not before the call.
  DataBarrier();
  return Psci(PSCI_CPU_ON_64, start.cpu->mpidr,
              reinterpret_cast<uint64_t>(&secondary_entry),
              reinterpret_cast<uint64_t>(&start));
}

void TurnOn(Cpu& cpu, void (*body)(uint64_t argument), uint64_t argument) {
  cpu.start = {&cpu, body, argument};
  if (const int32_t result = CpuOn(cpu.start); result != PSCI_RET_SUCCESS) {
    FAIL("CPU_ON of ", Hex{cpu.mpidr}, " returned ", result);
  }
}

void TurnOff() {
  const int32_t result = Psci(PSCI_CPU_OFF);
  FAIL("CPU_OFF returned ", result);
}

void AwaitOff(const Cpu& cpu) {
  const Deadline deadline;
  for (;;) {
    const int32_t state = AffinityInfo(cpu.mpidr);
    if (state == PSCI_AFFINITY_OFF) return;
    if (state != PSCI_AFFINITY_ON) FAIL("AFFINITY_INFO returned ", state);
    if (deadline.Passed()) FAIL("CPU ", Hex{cpu.mpidr}, " is still on");
  }
}

}  // namespace stub

void stub_main(const void* devicetree) {
  stub::ReadDevicetree(devicetree);
  stub::IntroduceCpus();
  stub::Payload();
  stub::Pass();
}

void stub_secondary(const stub::Start* start) {
  const stub::Start what = *start;
  what.cpu->entries.fetch_add(1);
  const uint64_t mpidr = READ_SYSREG(mpidr_el1) & MPIDR_AFFINITY_MASK;
  if (mpidr != what.cpu->mpidr) {
    FAIL("CPU_ON of ", stub::Hex{what.cpu->mpidr}, " started ",
         stub::Hex{mpidr});
  }
  what.body(what.argument);
  stub::TurnOff();
}
