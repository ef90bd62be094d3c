// SPDX-License-Identifier: Apache-2.0
// What identifies a CPU is the same in all of them, and stays so after CPU_OFF
// and CPU_ON.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"

namespace stub {
namespace {

constexpr uint32_t kMaxRegisters = 96;

struct Registers {
  uint32_t count = 0;
  const char* names[kMaxRegisters] = {};
  uint64_t values[kMaxRegisters] = {};
  void Add(const char* name, uint64_t value) {
    EXPECT(count < kMaxRegisters);
    names[count] = name;
    values[count++] = value;
  }
};

#define ADD(name) registers.Add(#name, READ_SYSREG(name))
#define ADD_EIGHT(prefix) \
  ADD(prefix##_0);        \
  ADD(prefix##_1);        \
  ADD(prefix##_2);        \
  ADD(prefix##_3);        \
  ADD(prefix##_4);        \
  ADD(prefix##_5);        \
  ADD(prefix##_6);        \
  ADD(prefix##_7)

void ReadFeatures(Registers& registers) {
  ADD(midr_el1);
  ADD(revidr_el1);
  ADD(aidr_el1);
  ADD_EIGHT(S3_0_C0_C1);  // ID_PFR0_EL1 and so on: AArch32's,
  ADD_EIGHT(S3_0_C0_C2);
  ADD_EIGHT(S3_0_C0_C3);
  ADD_EIGHT(S3_0_C0_C4);  // ID_AA64PFR0_EL1 and so on: AArch64's.
  ADD_EIGHT(S3_0_C0_C5);
  ADD_EIGHT(S3_0_C0_C6);
  ADD_EIGHT(S3_0_C0_C7);
}

void ReadCaches(Registers& registers) {
  ADD(ctr_el0);
  ADD(dczid_el0);
  ADD(clidr_el1);
  for (uint64_t i = 0; i < 8; ++i) {
    WRITE_SYSREG(csselr_el1, i);
    ADD(ccsidr_el1);
  }
  WRITE_SYSREG(csselr_el1, 0);
  ADD(cntfrq_el0);
}

constinit Registers reference;
constinit Registers current;

void Read(uint64_t) {
  current.count = 0;
  ReadFeatures(current);
  ReadCaches(current);
}

void Compare(const Cpu& cpu, const char* when) {
  EXPECT_EQ(current.count, reference.count);
  for (uint32_t i = 0; i < current.count; ++i) {
    if (current.values[i] != reference.values[i]) {
      FAIL(reference.names[i], " of CPU ", Hex{cpu.mpidr}, " is ",
           Hex{current.values[i]}, ", not ", Hex{reference.values[i]}, ", ",
           when);
    }
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(id_registers) {
  ReadFeatures(reference);
  ReadCaches(reference);
  for (const char* when : {"at its first entry", "after CPU_OFF and CPU_ON"}) {
    for (uint32_t i = 0; i + 1 < CpuCount(); ++i) {
      TurnOn(OtherCpu(i), Read);
      AwaitOff(OtherCpu(i));
      Compare(OtherCpu(i), when);
    }
  }
  Print(reference.count, " registers; ID_AA64PFR0 ",
        Hex{READ_SYSREG(S3_0_C0_C4_0)}, ", CLIDR ",
        Hex{READ_SYSREG(clidr_el1)});
}
