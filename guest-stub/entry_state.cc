// SPDX-License-Identifier: Apache-2.0
// What a CPU finds when CPU_ON starts it (DEN0022 6.4, booting.rst): the first
// time, and after it has filled every register with garbage and turned itself
// off; or with door=page or door=device, parked and been released there.
#include "guest-stub/arch.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/entry_registers.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "psci-emul/park_abi.h"

namespace {

#define NAME(name) #name,
constexpr const char* kRestNames[] = {ENTRY_SYSTEM_REGISTERS(NAME)
                                          ENTRY_FP_REGISTERS(NAME)};

}  // namespace

namespace stub {

constexpr uint32_t kRest = sizeof(kRestNames) / sizeof(kRestNames[0]);
constexpr uint32_t kWords = ENTRY_REST + kRest;

struct alignas(256) Record {
  uint64_t words[kWords];
};

}  // namespace stub

using Leave = void (*)(uint64_t where);

extern "C" {
constinit stub::Record entry_record;
constinit const stub::Start* entry_start = nullptr;
constinit Leave entry_leave = nullptr;
constinit uint64_t entry_where = 0;
void entry_state_entry();
[[noreturn]] void entry_state_poison();
[[noreturn]] void entry_state_turn_off(uint64_t);
[[noreturn]] void entry_state_enter_slot(uint64_t slot);
}

namespace stub {
namespace {

constexpr uint64_t kContext = 0xfedc'ba98'7654'3210;

constinit Record first;

// Both ways: the CPU that captures writes past the cache.
void CleanAndInvalidateRecord() {
  const auto begin = reinterpret_cast<uint64_t>(&entry_record);
  for (uint64_t line = begin; line < begin + sizeof(Record); line += 16) {
    asm volatile("dc civac, %0" ::"r"(line) : "memory");
  }
  DataBarrier();
}

const char* NameOf(uint32_t word) {
  if (word < ENTRY_SP) return "x";
  if (word == ENTRY_SP) return "sp";
  return word < ENTRY_REST ? "v" : kRestNames[word - ENTRY_REST];
}

bool Same(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b) {
    if (*a == '\0') return true;
  }
  return false;
}

uint64_t Value(const char* name) {
  for (uint32_t i = 0; i < kRest; ++i) {
    if (Same(kRestNames[i], name)) return entry_record.words[ENTRY_REST + i];
  }
  FAIL("no register ", name);
}

// Pointer authentication's keys and SVE's vector length, where there are any.
struct Optional {
  uint64_t words[12] = {};
};

bool HasPointerAuthentication() {
  const uint64_t isar1 = READ_SYSREG(id_aa64isar1_el1);
  return (isar1 >> 4 & 0xff) != 0;
}

bool HasSve() { return (READ_SYSREG(id_aa64pfr0_el1) >> 32 & 0xf) != 0; }

Optional ReadOptional() {
  Optional read;
  if (HasPointerAuthentication()) {
    read.words[0] = READ_SYSREG(S3_0_C2_C1_0);
    read.words[1] = READ_SYSREG(S3_0_C2_C1_1);
    read.words[2] = READ_SYSREG(S3_0_C2_C1_2);
    read.words[3] = READ_SYSREG(S3_0_C2_C1_3);
    read.words[4] = READ_SYSREG(S3_0_C2_C2_0);
    read.words[5] = READ_SYSREG(S3_0_C2_C2_1);
    read.words[6] = READ_SYSREG(S3_0_C2_C2_2);
    read.words[7] = READ_SYSREG(S3_0_C2_C2_3);
    read.words[8] = READ_SYSREG(S3_0_C2_C3_0);
    read.words[9] = READ_SYSREG(S3_0_C2_C3_1);
  }
  if (HasSve()) {
    WRITE_SYSREG(cpacr_el1, 3 << 20 | 3 << 16);
    read.words[10] = READ_SYSREG(S3_0_C1_C2_0);  // ZCR_EL1.
  }
  return read;
}

void PoisonOptional() {
  constexpr uint64_t kPoison = 0x5555'aaaa'5555'aaaa;
  if (HasPointerAuthentication()) {
    WRITE_SYSREG(S3_0_C2_C1_0, kPoison);
    WRITE_SYSREG(S3_0_C2_C1_1, kPoison);
    WRITE_SYSREG(S3_0_C2_C1_2, kPoison);
    WRITE_SYSREG(S3_0_C2_C1_3, kPoison);
    WRITE_SYSREG(S3_0_C2_C2_0, kPoison);
    WRITE_SYSREG(S3_0_C2_C2_1, kPoison);
    WRITE_SYSREG(S3_0_C2_C2_2, kPoison);
    WRITE_SYSREG(S3_0_C2_C2_3, kPoison);
    WRITE_SYSREG(S3_0_C2_C3_0, kPoison);
    WRITE_SYSREG(S3_0_C2_C3_1, kPoison);
  }
  if (HasSve()) WRITE_SYSREG(S3_0_C1_C2_0, 3);
}

void PoisonSystemRegisters() {
  constexpr uint64_t kPoison = 0x5555'aaaa'5555'aaa0;
  WRITE_SYSREG(mdscr_el1, 1 << 15 | 1 << 13 | 1 << 12);
  WRITE_SYSREG(dbgbvr0_el1, kPoison);
  WRITE_SYSREG(dbgbcr0_el1, 0x1e6);
  WRITE_SYSREG(dbgwvr0_el1, kPoison);
  WRITE_SYSREG(dbgwcr0_el1, 0x1ffe);
  WRITE_SYSREG(oslar_el1, 1);
  WRITE_SYSREG(ttbr1_el1, 0x5555'0000);
  WRITE_SYSREG(amair_el1, kPoison);
  WRITE_SYSREG(contextidr_el1, 0x5555'aaaa);
  WRITE_SYSREG(tpidr_el0, kPoison);
  WRITE_SYSREG(tpidrro_el0, kPoison);
  WRITE_SYSREG(cntkctl_el1, 0x3ff);
  WRITE_SYSREG(csselr_el1, 2);
  WRITE_SYSREG(esr_el1, 0x5555'aaaa);
  WRITE_SYSREG(far_el1, kPoison);
  WRITE_SYSREG(afsr0_el1, 0x5555'aaaa);
  WRITE_SYSREG(afsr1_el1, 0x5555'aaaa);
  asm volatile("at s1e1r, %0\n\tisb" ::"r"(&first) : "memory");  // PAR_EL1.
  WRITE_SYSREG(cntv_cval_el0, 0);
  WRITE_SYSREG(cntv_ctl_el0, 1);
  WRITE_SYSREG(cntp_cval_el0, 0);
  WRITE_SYSREG(cntp_ctl_el0, 1);
  WRITE_SYSREG(tpidr_el1, kPoison);
  WRITE_SYSREG(vbar_el1, 0x5555'a000);
}

constinit Optional optional;

void Soil(uint64_t) {
  optional = ReadOptional();
  PoisonOptional();
  PoisonSystemRegisters();
  entry_state_poison();
}

void OnlyLook(uint64_t) { optional = ReadOptional(); }

void ByPsci(const Cpu& cpu, uint64_t function, uint64_t context) {
  const int32_t result =
      Psci(function, cpu.mpidr, reinterpret_cast<uint64_t>(&entry_state_entry),
           context);
  EXPECT_EQ(result, PSCI_RET_SUCCESS);
}

// It keeps its loop: that is how the CPU leaves the next time, too.
void ByPage(uint64_t page) {
  AwaitMagic(page);
  StoreExit(page, reinterpret_cast<uint64_t>(&entry_state_entry));
}

void BySlot(const Cpu& cpu, uint64_t context) {
  WriteMmio64(ParkSlot(cpu) + PARK_REG_CONTEXT, context);
  WriteMmio64(ParkSlot(cpu) + PARK_REG_EXIT,
              reinterpret_cast<uint64_t>(&entry_state_entry));
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_STATUS), PARK_STATUS_OK);
}

// `start` lets it in at entry_state_entry.
void Enter(Cpu& cpu, void (*body)(uint64_t), auto start) {
  cpu.start = {&cpu, body, 0};
  entry_start = &cpu.start;
  CleanAndInvalidateRecord();
  const uint32_t entries = cpu.entries;
  start();
  AwaitEntries(cpu, entries + 1);
  AwaitOff(cpu);
  CleanAndInvalidateRecord();
}

void CheckSpecified(const Cpu& cpu, uint64_t context) {
  constexpr uint64_t kMmuOrCaches = 1 | 1 << 2 | 1 << 12;
  constexpr uint64_t kBigEndian = 1 << 25 | 1 << 24;
  constexpr uint64_t kDebugExceptions = 1 << 15 | 1 << 13 | 1;
  EXPECT_EQ(entry_record.words[ENTRY_X], context);
  EXPECT_EQ(Value("currentel"), 1 << 2);
  EXPECT_EQ(Value("spsel"), 1);
  EXPECT_EQ(Value("daif"), 0x3c0);
  EXPECT_EQ(Value("sctlr_el1") & (kMmuOrCaches | kBigEndian), 0);
  EXPECT_EQ(Value("mdscr_el1") & kDebugExceptions, 0);
  EXPECT_EQ(Value("cntv_ctl_el0") & 1, 0);
  EXPECT_EQ(Value("cntp_ctl_el0") & 1, 0);
  EXPECT_EQ(Value("mpidr_el1") & MPIDR_AFFINITY_MASK, cpu.mpidr);
}

// KVM's own PSCI leaves these as they were.
bool IsLeftByKvm(uint32_t word) {
  return HasArgument("psci=kvm") &&
         (word == ENTRY_SP || Same(NameOf(word), "spsr_el1"));
}

// DEN0022 leaves these open; garbage of another life they must not be.
void CheckSameAsFirst(const Optional& first_optional) {
  uint32_t differences = 0;
  for (uint32_t i = 1; i < kWords; ++i) {
    if (entry_record.words[i] == first.words[i]) continue;
    if (!IsLeftByKvm(i)) ++differences;
    const uint32_t number = i < ENTRY_V ? i : (i - ENTRY_V) / 2;
    Print("differs: ", NameOf(i), " ", number, ": ", Hex{entry_record.words[i]},
          ", at first ", Hex{first.words[i]});
  }
  for (uint32_t i = 0; i < 12; ++i) {
    if (optional.words[i] == first_optional.words[i]) continue;
    ++differences;
    Print("differs: key or ZCR ", i, ": ", Hex{optional.words[i]},
          ", at first ", Hex{first_optional.words[i]});
  }
  EXPECT_EQ(differences, 0);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(entry_state) {
  Cpu& cpu = OtherCpu(0);
  const bool page = HasArgument("door=page");
  const bool device = HasArgument("door=device");
  if (page) InstallLoop(ParkPage(0), Loop::kProposed);
  entry_leave = page     ? park_enter
                : device ? entry_state_enter_slot
                         : entry_state_turn_off;
  entry_where = page ? ParkPage(0) : device ? ParkSlot(cpu) : 0;
  Enter(cpu, Soil, [&] { ByPsci(cpu, PSCI_CPU_ON_64, kContext); });
  CheckSpecified(cpu, kContext);
  first = entry_record;
  const Optional first_optional = optional;
  Print("SCTLR ", Hex{Value("sctlr_el1")}, ", CPACR ", Hex{Value("cpacr_el1")},
        ", OSLSR ", Hex{Value("oslsr_el1")}, HasSve() ? ", SVE" : "",
        HasPointerAuthentication() ? ", pointer authentication" : "");
  const uint64_t context = page ? ParkPage(0) : ~kContext;
  for (int round = 0; round < 3; ++round) {
    Enter(cpu, Soil, [&] {
      page     ? ByPage(context)
      : device ? BySlot(cpu, context)
               : ByPsci(cpu, PSCI_CPU_ON_64, context);
    });
    CheckSpecified(cpu, context);
    CheckSameAsFirst(first_optional);
  }
  // SMC32: the context has no upper half. Whichever door it left by.
  Enter(cpu, OnlyLook, [&] { ByPsci(cpu, PSCI_CPU_ON_32, kContext); });
  CheckSpecified(cpu, kContext & 0xffffffff);
  CheckSameAsFirst(first_optional);
}
