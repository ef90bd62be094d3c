// SPDX-License-Identifier: Apache-2.0
// Random and worst-case things from every CPU at once, in an order that a seed
// fixes for each: calls with any arguments, accesses of any width and form on
// and off the map, stores into park pages and slots, IPIs, timers, breakpoints,
// floods of console and marks, CPUs turned off and on. What faults is skipped.
// This guest checks no answer. It counts its operations and passes if the VMM
// is there at the end.
//
// ops=N: how much the boot CPU does; the others go on until it is through.
// seconds=N: after this long it has done enough, whatever that was.
#include <iterator>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/exception.h"
#include "guest-stub/gic.h"
#include "guest-stub/mmio_access.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/random.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "guest-stub/timer.h"
#include "psci-emul/park_abi.h"
#include "vmm/devices/mark_abi.h"

namespace stub {
namespace {

constexpr uint32_t kConsoleEvery = 512;  // Operations for each line.

constinit std::atomic<uint32_t> stopped = 0;
struct alignas(64) Tally {
  uint64_t done;
};
constinit Tally tallies[board::kMaxCpus] = {};

uint64_t Wide(Random& random) {
  return uint64_t{random.Below(~0u)} << 32 | random.Below(~0u);
}

// A value that is seldom random: those near the edges find more.
uint64_t AnyValue(Random& random) {
  switch (random.Below(6)) {
    case 0:
      return 0;
    case 1:
      return ~uint64_t{0};
    case 2:
      return random.Below(16);
    case 3:
      return PARK_MAGIC;
    case 4:
      return board::kRam + random.Below(0x400'0000);
    default:
      return Wide(random);
  }
}

uint64_t AnyPlace(Random& random) {
  static constexpr uint64_t kBases[] = {
      board::kPl011,          board::kPl031,
      board::kMarkDevice,     board::kParkDevice,
      board::kGicDistributor, board::kNoDevice,
      board::kNoRam,          0};
  const uint64_t base = kBases[random.Below(std::size(kBases))];
  const uint32_t reach = base == board::kParkDevice ? 0x10000 : 0x1000;
  return base + random.Below(reach);
}

// Whether a store there is a mark or a verdict, which would end the run.
bool EndsTheRun(uint64_t place) {
  const uint64_t offset = place - board::kMarkDevice;
  return offset < 0x20 && offset + 8 > MARK_REG_MARK;
}

void Call(Random& random) {
  uint64_t function = random.Below(2) == 0 ? PSCI_32(random.Below(0x24))
                                           : PSCI_64(random.Below(0x24));
  switch (function) {
    case PSCI_CPU_OFF:
    case PSCI_CPU_SUSPEND_32:  // May sleep until an interrupt.
    case PSCI_CPU_SUSPEND_64:
    case PSCI_SYSTEM_OFF:
    case PSCI_SYSTEM_RESET:
    case PSCI_SYSTEM_RESET2_32:
    case PSCI_SYSTEM_RESET2_64:
      function = Wide(random) & ~uint64_t{0x1f};
      break;
    case PSCI_CPU_ON_32:
    case PSCI_CPU_ON_64:  // No CPU is there, or no memory.
      Psci(function, Wide(random) | 0xff00, AnyValue(random), AnyValue(random));
      Psci(function, OtherCpu(random.Below(CpuCount() - 1)).mpidr,
           board::kNoRam + random.Below(0x1000), 0);
      return;
    default:
      break;
  }
  smccc_hvc(function, AnyValue(random), AnyValue(random), AnyValue(random));
}

void Access(Random& random) {
  const uint64_t place = AnyPlace(random);
  const uint64_t value = AnyValue(random);
  const uint32_t form = random.Below(14);
  if (EndsTheRun(place) && form >= 4) return;
  switch (form) {
    case 0:
      ReadMmio8(place);
      break;
    case 1:
      ReadMmio16(place);
      break;
    case 2:
      ReadMmio32(place);
      break;
    case 3:
      ReadMmio64(place);
      break;
    case 4:
      WriteMmio8(place, static_cast<uint8_t>(value));
      break;
    case 5:
      WriteMmio16(place, static_cast<uint16_t>(value));
      break;
    case 6:
      WriteMmio32(place, static_cast<uint32_t>(value));
      break;
    case 7:
      WriteMmio64(place, value);
      break;
    case 8:
      access_ldp(place);
      break;
    case 9:
      access_stp(place);
      break;
    case 10:
      access_simd_load(place);
      break;
    case 11:
      access_simd_store(place);
      break;
    case 12:
      access_writeback(place);
      break;
    default:
      access_dc_zva(place);
      break;
  }
}

// Where CPUs park; of page `number` any word, by any of two mappings.
void Page(Random& random) {
  if (ParkRegion() == 0) return;
  const uint32_t number = random.Below(CpuCount() - 1);
  const uint64_t offset = random.Below(2) == 0
                              ? 8 * random.Below(2)  // exit and magic
                              : random.Below(kParkPageSize);
  const uint64_t place = ParkPage(number) + board::kAlias + offset;
  switch (random.Below(6)) {
    case 0:
      access_stp(place & ~uint64_t{7});
      break;
    case 1:
      access_dc_zva(place);
      break;
    case 2:
      access_simd_store(place & ~uint64_t{15});
      break;
    case 3:
      WriteMmio8(place, static_cast<uint8_t>(random.Below(256)));
      break;
    default:
      WriteMmio64(place & ~uint64_t{7}, AnyValue(random));
      break;
  }
}

void Slot(Random& random) {
  const uint64_t slot = ParkSlot(CpuAt(random.Below(CpuCount())));
  const uint64_t reg = 8 * random.Below(9);
  // Who parks leaves for good: nobody knows its place any more.
  const uint64_t value = reg == PARK_REG_MAGIC ? PARK_MAGIC + 1 : Wide(random);
  if (random.Below(2) == 0) {
    ReadMmio64(slot + reg);
  } else {
    WriteMmio64(slot + reg, value | 1);  // No entry is odd.
  }
}

void Registers(Random& random) {
  switch (random.Below(4)) {
    case 0:
      // Not beyond: QEMU before 8.2, which emulates hosts, loses itself where
      // this and the counter's offset add up to more than 64 bits.
      WRITE_SYSREG(cntv_cval_el0, AnyValue(random) >> 2);
      WRITE_SYSREG(cntv_ctl_el0, random.Below(8));
      break;
    case 1:  // Nobody enables them.
      WRITE_SYSREG(dbgbvr0_el1, AnyValue(random));
      WRITE_SYSREG(dbgbcr0_el1, AnyValue(random));
      break;
    case 2:
      WRITE_SYSREG(dbgwvr0_el1, AnyValue(random));
      WRITE_SYSREG(dbgwcr0_el1, AnyValue(random));
      break;
    default:
      for (uint32_t i = 0; i < 16; ++i) {
        GicSendSgi(i, CpuAt(random.Below(CpuCount())));
      }
      break;
  }
}

void Mark(Random& random) {
  WriteMmio64(board::kMarkDevice + MARK_REG_MARK,
              (MARK_CODE_USER + random.Below(1000)) | Wide(random)
                                                          << MARK_VALUE_SHIFT);
}

void One(Random& random) {
  switch (random.Below(8)) {
    case 0:
    case 1:
      return Call(random);
    case 2:
    case 3:
      return Access(random);
    case 4:
      return Page(random);
    case 5:
      if (ThisMachine().park_device) Slot(random);
      return;
    case 6:
      return Registers(random);
    default:
      return Mark(random);
  }
}

void Do(Random& random, uint64_t number) {
  Catch([&] { One(random); });
  if (number % kConsoleEvery == 0) {
    Print("\x1b[2J\xff hostile \x07 ::error::", number);
  }
  ++tallies[ThisCpu().index].done;
}

// Until it is enough, or it is this CPU's turn to leave.
void Rage(uint64_t seed) {
  Random random(seed + ThisCpu().entries * 64);
  for (uint64_t i = 0; stopped == 0 && i < 500 + random.Below(500); ++i) {
    Do(random, i);
  }
}

void TurnAnyOn(Random& random, uint64_t seed) {
  Cpu& cpu = OtherCpu(random.Below(CpuCount() - 1));
  if (AffinityInfo(cpu.mpidr) != PSCI_AFFINITY_OFF) return;
  cpu.start = {&cpu, Rage, seed + cpu.index};
  CpuOn(cpu.start);
}

uint64_t Total() {
  uint64_t total = 0;
  for (uint32_t i = 0; i < CpuCount(); ++i) total += tallies[i].done;
  return total;
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(hostile) {
  EXPECT(CpuCount() > 1);
  const uint64_t ops = Argument("ops", 1000);
  const uint64_t seed = Argument("seed", 1);
  const Deadline end(Argument("seconds", 3600));
  Random random(seed);
  for (uint64_t i = 0; i < ops && !end.Passed(); ++i) {
    Do(random, i);
    if (i % 16 == 0) TurnAnyOn(random, seed);
  }
  stopped = 1;
  for (uint32_t i = 0; i + 1 < CpuCount(); ++i) AwaitOff(OtherCpu(i));
  Print("operations: ", Total());
}
