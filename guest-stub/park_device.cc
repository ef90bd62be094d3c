// SPDX-License-Identifier: Apache-2.0
// The park device, register by register: a CPU parks in its own slot and is
// released from it, or started by CPU_ON; what is no such access does nothing.
#include <initializer_list>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/exception.h"
#include "guest-stub/mmio_access.h"
#include "guest-stub/park.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "guest-stub/smp.h"
#include "psci-emul/park_abi.h"

namespace stub {
namespace {

void Leave(uint64_t) {}

void Park(Cpu& cpu) {
  TurnOn(cpu, [](uint64_t) { EnterSlot(); });
  AwaitOff(cpu);
}

void CheckSlot(const Cpu& cpu, uint64_t state, uint64_t parks, uint64_t acks) {
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_EXIT), 0);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_MAGIC),
            state == PARK_STATE_PARKED ? PARK_MAGIC : 0);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_VERSION), PARK_DEVICE_VERSION);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_MPIDR), cpu.mpidr);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_STATE), state);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_GENERATION), parks);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_ACK), acks);
}

void CheckLife(Cpu& cpu) {
  CheckSlot(cpu, PARK_STATE_OFF, 0, 0);
  Park(cpu);
  CheckSlot(cpu, PARK_STATE_PARKED, 1, 0);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_CONTEXT), 0);
  EXPECT_EQ(ReleaseSlot(cpu, Leave), PARK_STATUS_OK);
  AwaitEntries(cpu, 2);
  AwaitOff(cpu);
  CheckSlot(cpu, PARK_STATE_OFF, 1, 1);
  Park(cpu);
  CheckSlot(cpu, PARK_STATE_PARKED, 2, 1);
  EXPECT_EQ(ReadSlot(cpu, PARK_REG_CONTEXT), 0);
  TurnOn(cpu, Leave);
  AwaitEntries(cpu, 4);
  AwaitOff(cpu);
  CheckSlot(cpu, PARK_STATE_OFF, 2, 2);
}

void CheckBadEntries(Cpu& cpu) {
  Park(cpu);
  const uint64_t exit = ParkSlot(cpu) + PARK_REG_EXIT;
  for (const uint64_t entry :
       {uint64_t{0}, uint64_t{4}, board::kRam + 2, board::kNoRam, board::kPl011,
        ParkSlot(cpu), ~uint64_t{0}}) {
    WriteMmio64(exit, entry);
    EXPECT_EQ(ReadSlot(cpu, PARK_REG_STATUS), PARK_STATUS_BAD_ENTRY);
    CheckSlot(cpu, PARK_STATE_PARKED, 3, 2);
  }
}

// The CPU is parked, and none of it is a release.
void CheckStrangeAccesses(const Cpu& cpu) {
  const uint64_t slot = ParkSlot(cpu);
  const uint64_t entry = board::kRam;
  WriteMmio32(slot + PARK_REG_EXIT, static_cast<uint32_t>(entry));
  WriteMmio16(slot + PARK_REG_EXIT, 4);
  WriteMmio8(slot + PARK_REG_EXIT, 4);
  EXPECT_EQ(ReadMmio32(slot + PARK_REG_MPIDR), 0);
  EXPECT_EQ(ReadMmio8(slot + PARK_REG_VERSION), 0);
  for (const uint64_t reg :
       {PARK_REG_VERSION, PARK_REG_MPIDR, PARK_REG_STATE, PARK_REG_GENERATION,
        PARK_REG_ACK, PARK_REG_STATUS, 0x48, 0xff8}) {
    WriteMmio64(slot + reg, ~uint64_t{0});
  }
  EXPECT_EQ(ReadSlot(cpu, 0x48), 0);
  EXPECT_EQ(ReadMmio64(board::kParkDevice + PARK_DEVICE_STRIDE * CpuCount()),
            0);
  WriteMmio64(board::kParkDevice + PARK_DEVICE_STRIDE * CpuCount(), entry);
  for (const auto access : {access_ldp, access_stp, access_simd_load,
                            access_simd_store, access_writeback}) {
    const Caught caught = Catch([&] { access(slot); });
    EXPECT(caught.taken);
    EXPECT_EQ(ClassOf(caught), kDataAbort);
    EXPECT_EQ(FaultOf(caught), kSynchronousExternal);
  }
  CheckSlot(cpu, PARK_STATE_PARKED, 3, 2);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(park_device) {
  CheckSlot(ThisCpu(), PARK_STATE_RUNNING, 0, 0);
  Cpu& cpu = OtherCpu(CpuCount() - 2);
  CheckLife(cpu);
  CheckBadEntries(cpu);
  CheckStrangeAccesses(cpu);
  EXPECT_EQ(ReleaseSlot(cpu, Leave), PARK_STATUS_OK);
  AwaitEntries(cpu, 6);
  AwaitOff(cpu);
  CheckSlot(cpu, PARK_STATE_OFF, 3, 3);
}
