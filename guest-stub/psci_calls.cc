// SPDX-License-Identifier: Apache-2.0
// Every PSCI function with legal and illegal arguments. "kvm": KVM answers, and
// where it does otherwise than we do the table says so; psci-emul/README.md
// says who is right.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/exception.h"
#include "guest-stub/gic.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"

extern "C" void secondary_entry();

namespace stub {
namespace {

constexpr uint64_t kGarbage = 0xbad0'bad0'0000'0000;
constexpr int64_t kSuccess = PSCI_RET_SUCCESS;
constexpr int64_t kOff = PSCI_AFFINITY_OFF;
constexpr int64_t kInvalid = PSCI_RET_INVALID_PARAMETERS;
constexpr int64_t kAddress = PSCI_RET_INVALID_ADDRESS;
constexpr int64_t kUnsupported = PSCI_RET_NOT_SUPPORTED;

struct Call {
  const char* what;
  int64_t expected;
  uint64_t function;
  uint64_t x1 = 0, x2 = 0, x3 = 0;
};

bool IsKvm() { return HasArgument("psci=kvm"); }

// All of X0: a negative result is sign-extended, whatever the convention.
void Check(const Call& call) {
  const auto result =
      static_cast<int64_t>(smccc_hvc(call.function, call.x1, call.x2, call.x3));
  if (result != call.expected) {
    FAIL(call.what, ": ", Hex{call.function}, "(", Hex{call.x1}, ", ",
         Hex{call.x2}, ", ", Hex{call.x3}, ") returned ", result, ", not ",
         call.expected);
  }
}

bool IsImplemented(uint64_t function) {
  switch (function) {
    case PSCI_VERSION:
    case PSCI_CPU_SUSPEND_32:
    case PSCI_CPU_SUSPEND_64:
    case PSCI_CPU_OFF:
    case PSCI_CPU_ON_32:
    case PSCI_CPU_ON_64:
    case PSCI_AFFINITY_INFO_32:
    case PSCI_AFFINITY_INFO_64:
    case PSCI_MIGRATE_INFO_TYPE:
    case PSCI_SYSTEM_OFF:
    case PSCI_SYSTEM_RESET:
    case PSCI_FEATURES:
    case PSCI_SYSTEM_RESET2_32:
    case PSCI_SYSTEM_RESET2_64:
      return true;
    default:
      return false;
  }
}

void CheckVersionAndConduits() {
  Check({"PSCI_VERSION", PSCI_VERSION_1_1, PSCI_VERSION});
  Check({"PSCI_VERSION with garbage everywhere", PSCI_VERSION_1_1,
         kGarbage | PSCI_VERSION, kGarbage, kGarbage, kGarbage});
  Check({"SMCCC_VERSION", 0x10001, SMCCC_VERSION_ID});
  EXPECT_EQ(smccc_hvc_immediate(PSCI_VERSION, 0, 0, 0), PSCI_VERSION_1_1);
  EXPECT_EQ(smccc_count_changed(PSCI_VERSION, 1, 2, 3), 0);
  EXPECT_EQ(smccc_count_changed(PSCI_AFFINITY_INFO_64, 0, 0, 0), 0);
  EXPECT_EQ(smccc_count_changed(PSCI_64(0x1f), 0, 0, 0), 0);
  // The devicetree says HVC. SMC may work, or be undefined where there is no
  // EL3; it must not do anything else.
  uint64_t smc = 0;
  Caught caught = Catch([&] { smc = smccc_smc(PSCI_VERSION, 0, 0, 0); });
  Print("smc: ", caught.taken ? "undefined" : "answered");
  if (caught.taken) {
    EXPECT_EQ(ClassOf(caught), kUnknownInstruction);
  } else {
    EXPECT_EQ(smc, PSCI_VERSION_1_1);
  }
  caught = Catch([&] { smc = smccc_smc_immediate(PSCI_VERSION, 0, 0, 0); });
  if (!caught.taken) EXPECT_EQ(static_cast<int64_t>(smc), kUnsupported);
}

void CheckFeatures() {
  for (uint64_t number = 0; number < PSCI_NUMBERS; ++number) {
    for (const uint64_t function : {PSCI_32(number), PSCI_64(number)}) {
      const int64_t known = IsImplemented(function) ? 0 : kUnsupported;
      Check({"PSCI_FEATURES", known, PSCI_FEATURES, function});
      Check({"PSCI_FEATURES", known, PSCI_FEATURES, kGarbage | function,
             kGarbage, kGarbage});
    }
  }
  Check({"SMCCC_VERSION exists", kSuccess, PSCI_FEATURES, SMCCC_VERSION_ID});
  for (const uint64_t function :
       {UINT64_C(0x0), UINT64_C(0x80000001), UINT64_C(0x84000020),
        UINT64_C(0xc4000020), UINT64_C(0x84000100), UINT64_C(0xffffffff)}) {
    Check(
        {"PSCI_FEATURES of a stranger", kUnsupported, PSCI_FEATURES, function});
  }
}

void CheckReserved() {
  for (uint64_t number = 0; number < PSCI_NUMBERS; ++number) {
    for (const uint64_t function : {PSCI_32(number), PSCI_64(number)}) {
      if (IsImplemented(function)) continue;
      Check({"reserved", kUnsupported, function, 1, 2, 3});
    }
  }
  Check({"MIGRATE_INFO_TYPE", PSCI_MIGRATE_TYPE_NOT_REQUIRED,
         PSCI_MIGRATE_INFO_TYPE});
  // Past PSCI's range, PSCI 0.1's numbers, a yielding call, nonsense.
  for (const uint64_t function :
       {UINT64_C(0x84000020), UINT64_C(0xc4000020), UINT64_C(0x840000ff),
        UINT64_C(0xc400ffff), UINT64_C(0x95c1ba5e), UINT64_C(0x95c1ba5f),
        UINT64_C(0x95c1ba60), UINT64_C(0x95c1ba61), UINT64_C(0x04000003),
        UINT64_C(0x44000003), UINT64_C(0x0), UINT64_C(0xffffffff)}) {
    Check({"stranger", kUnsupported, function, 1, 2, 3});
  }
}

void CheckAffinityInfo(uint64_t self, uint64_t other) {
  constexpr uint64_t kInfo = PSCI_AFFINITY_INFO_64;
  const Call calls[] = {
      {"itself", kSuccess, kInfo, self},
      {"one that is off", kOff, kInfo, other},
      {"level 1", kSuccess, kInfo, other, 1},
      {"level 2", kSuccess, kInfo, other, 2},
      {"level 3", kSuccess, kInfo, other, 3},
      {"lower fields do not count", kSuccess, kInfo, self | 0x7f, 1},
      {"lower fields do not count", kSuccess, kInfo, self | 0x7f7f, 2},
      {"level 4", kInvalid, kInfo, self, 4},
      {"level -1", kInvalid, kInfo, self, ~UINT64_C(0)},
      {"level 2^32 - 1", kInvalid, kInfo, self, 0xffffffff},
      {"nobody", kInvalid, kInfo, self | 0x7f},
      {"nobody", kInvalid, kInfo, 0xf0f},
      {"nobody's cluster", kInvalid, kInfo, 0xf00, 1},
      {"nobody's cluster", kInvalid, kInfo, 0xf0000, 2},
      {"nobody's cluster", kInvalid, kInfo, 0xf00000000, 3},
      {"RES1 bit", kInvalid, kInfo, self | UINT64_C(1) << 31},
      {"RES1 bit, level 3", kInvalid, kInfo, self | UINT64_C(1) << 31, 3},
      {"MT bit", kInvalid, kInfo, self | 1 << 24},
      {"bit 63", kInvalid, kInfo, self | UINT64_C(1) << 63},
      {"all ones", kInvalid, kInfo, ~UINT64_C(0)},
      {"SMC32", kOff, PSCI_AFFINITY_INFO_32, other},
      {"SMC32 with garbage", kOff, PSCI_AFFINITY_INFO_32, kGarbage | other,
       kGarbage, kGarbage},
      {"SMC32 level 4", kInvalid, PSCI_AFFINITY_INFO_32, self, 4},
  };
  for (const Call& call : calls) Check(call);
  // KVM has 16 CPUs in a cluster: nobody is on in the second one.
  if (CpuCount() > 16) {
    Check({"a cluster that is off", kOff, kInfo, 0x100, 1});
  }
}

void CheckCpuOn(uint64_t self, uint64_t other) {
  constexpr uint64_t kOn = PSCI_CPU_ON_64;
  const auto entry = reinterpret_cast<uint64_t>(&secondary_entry);
  const Call calls[] = {
      {"itself", PSCI_RET_ALREADY_ON, kOn, self, entry, 0},
      {"nobody", kInvalid, kOn, 0x7f, entry, 0},
      {"nobody", kInvalid, kOn, 0xf0f, entry, 0},
      {"nobody, nowhere", kInvalid, kOn, 0xf0f, 1, 0},
      {"RES1 bit", kInvalid, kOn, other | UINT64_C(1) << 31, entry, 0},
      {"U bit", kInvalid, kOn, other | 1 << 30, entry, 0},
      {"MT bit", kInvalid, kOn, other | 1 << 24, entry, 0},
      {"affinity 3", kInvalid, kOn, other | UINT64_C(1) << 32, entry, 0},
      {"bit 40", kInvalid, kOn, other | UINT64_C(1) << 40, entry, 0},
      {"all ones", kInvalid, kOn, ~UINT64_C(0), entry, 0},
      {"SMC32, nobody", kInvalid, PSCI_CPU_ON_32, kGarbage | 0x7f, entry, 0},
  };
  for (const Call& call : calls) Check(call);
}

// Where KVM starts the CPU all the same, wherever that may be.
void CheckEntries(uint64_t self, uint64_t other) {
  const auto entry = reinterpret_cast<uint64_t>(&secondary_entry);
  const uint64_t ram_end = board::kRam + ThisMachine().ram_size;
  for (const uint64_t nowhere :
       {entry + 1, entry + 2, entry + 3, ram_end, ram_end + (UINT64_C(1) << 36),
        board::kRam - 4, board::kPl011, board::kMarkDevice, board::kNoDevice,
        UINT64_C(0), ~UINT64_C(3), UINT64_C(1) << 63 | entry}) {
    Check({"nowhere", kAddress, PSCI_CPU_ON_64, other, nowhere, 0});
  }
  Check({"nowhere, SMC32", kAddress, PSCI_CPU_ON_32, other,
         kGarbage | board::kPl011, 0});
  Check({"itself, nowhere", kAddress, PSCI_CPU_ON_64, self, 1, 0});
  EXPECT_EQ(AffinityInfo(other), PSCI_AFFINITY_OFF);
}

constinit std::atomic<uint32_t> started = 0;

// SMC32: target, entry and context are cut to 32 bits.
void CheckCpuOn32(Cpu& other) {
  static constinit Start start = {};
  start = {&other, [](uint64_t) { started = 1; }, 0};
  DataBarrier();
  Check({"SMC32 with garbage", kSuccess, kGarbage | PSCI_CPU_ON_32,
         kGarbage | other.mpidr,
         kGarbage | reinterpret_cast<uint64_t>(&secondary_entry),
         kGarbage | reinterpret_cast<uint64_t>(&start)});
  Await(started, 1);
  AwaitOff(other);
  EXPECT_EQ(other.entries.load(), 1);
}

void CheckSuspend(bool kvm) {
  const auto entry = reinterpret_cast<uint64_t>(&secondary_entry);
  const int64_t invalid = kvm ? PSCI_RET_SUCCESS : kInvalid;
  const int64_t address = kvm ? PSCI_RET_SUCCESS : kAddress;
  constexpr uint64_t kSuspend = PSCI_CPU_SUSPEND_64;
  constexpr uint64_t kPowerDown = PSCI_POWER_STATE_TYPE_POWER_DOWN;
  // A wake-up that is pending, and masked: no call waits.
  GicInitDistributor();
  GicInitCpu();
  GicEnable(board::kVirtualTimerIntid);
  StartTimer(0);
  const Call calls[] = {
      {"standby", kSuccess, kSuspend},
      {"standby needs no entry", kSuccess, kSuspend, 0, 1},
      {"standby of a cluster", kSuccess, kSuspend, 0x01000000},
      {"a state id", kSuccess, kSuspend, 0xffff},
      {"power_state is 32 bits wide", kSuccess, kSuspend, kGarbage},
      {"power down", kSuccess, kSuspend, kPowerDown, entry},
      {"SMC32", kSuccess, PSCI_CPU_SUSPEND_32, kGarbage, kGarbage},
      {"reserved bit 17", invalid, kSuspend, 1 << 17, entry, 0},
      {"reserved bit 23", invalid, kSuspend, 1 << 23, entry, 0},
      {"reserved bit 26", invalid, kSuspend, 1 << 26, entry, 0},
      {"reserved bit 31", invalid, kSuspend, UINT64_C(1) << 31, entry, 0},
      {"extended format", invalid, kSuspend, 1 << 30, entry, 0},
      {"power down, nowhere", address, kSuspend, kPowerDown, board::kPl011, 0},
      {"power down, askew", address, kSuspend, kPowerDown, entry + 2, 0},
  };
  for (const Call& call : calls) Check(call);
  StopTimer();
}

void CheckReset2() {
  for (const uint64_t type :
       {UINT64_C(0x1), UINT64_C(0x2), UINT64_C(0x7fffffff)}) {
    Check({"a reset type of Arm's", kInvalid, PSCI_SYSTEM_RESET2_64, type});
    Check({"a reset type of Arm's", kInvalid, PSCI_SYSTEM_RESET2_32,
           kGarbage | type});
  }
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(psci_calls) {
  const bool kvm = IsKvm();
  const uint64_t self = ThisCpu().mpidr;
  Cpu& other = OtherCpu(0);
  CheckVersionAndConduits();
  CheckFeatures();
  CheckReserved();
  CheckAffinityInfo(self, other.mpidr);
  CheckCpuOn(self, other.mpidr);
  CheckCpuOn32(other);
  CheckSuspend(kvm);
  CheckReset2();
  if (!kvm) {
    CheckEntries(self, other.mpidr);
  } else {
    Check({"itself, nowhere", PSCI_RET_ALREADY_ON, PSCI_CPU_ON_64, self, 1, 0});
    Check({"nowhere", kSuccess, PSCI_CPU_ON_64, other.mpidr, board::kNoDevice});
  }
}
