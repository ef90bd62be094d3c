// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_PARK_SLOTS_H_
#define PARKVMM_PSCI_EMUL_PARK_SLOTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "psci-emul/park_abi.h"
#include "psci-emul/park_fault.h"
#include "psci-emul/power_table.h"
#include "psci-emul/shared_word.h"
#include "psci-emul/types.h"

namespace psci {

// What is wrong with an address that a parked CPU is to start at, if anything.
using JudgeEntry = std::function<std::optional<ParkFault>(uint64_t entry)>;

// What a store to a slot comes to. Plain values, as with PSCI calls.

// Nothing but what the registers show.
struct Stored {
  friend bool operator==(const Stored&, const Stored&) = default;
};
// The caller parks: PowerTable::PowerOff(self, Door::kDevice), then
// AwaitBoot().
struct ParkSelf {
  friend bool operator==(const ParkSelf&, const ParkSelf&) = default;
};
struct Released {
  uint64_t mpidr;  // Whose slot it is.
  uint64_t entry;
  friend bool operator==(const Released&, const Released&) = default;
};
// Refused, and told by PARK_REG_STATUS.
struct Refused {
  ParkFault fault;
  friend bool operator==(const Refused&, const Refused&) = default;
};
using SlotOutcome = std::variant<Stored, ParkSelf, Released, Refused>;

// The registers of the park device (park_abi.h): slot i is VcpuId{i}'s. Any
// vCPU thread, concurrently: each register is one atomic word, and who is
// parked is the PowerTable's to say. Two CPUs that write CONTEXT and exit of
// one slot at once get one of the contexts.
class ParkSlots {
 public:
  ParkSlots(PowerTable& power, JudgeEntry judge)
      : power_(power),
        judge_(std::move(judge)),
        slots_(std::make_unique<Slot[]>(power.size())) {}

  // `offset` from the first slot's start, in bytes; 0 for what is no register
  // or no whole 64-bit access of one.
  uint64_t Read(uint64_t offset, unsigned size) const;
  SlotOutcome Write(VcpuId self, uint64_t offset, unsigned size,
                    uint64_t value);
  // On the vCPU's own thread, once it is on again, whoever started it.
  void Entered(VcpuId self);

 private:
  struct alignas(64) Slot {
    SharedWord<uint64_t> generation{"generation", 0};
    SharedWord<uint64_t> ack{"ack", 0};
    SharedWord<uint64_t> context{"context", 0};
    SharedWord<uint64_t> status{"status", PARK_STATUS_OK};
  };
  struct Place {
    VcpuId owner;
    uint64_t reg;
  };
  std::optional<Place> Find(uint64_t offset, unsigned size) const;
  uint64_t State(VcpuId owner) const;
  SlotOutcome Park(VcpuId self, VcpuId owner, uint64_t magic);
  SlotOutcome Release(VcpuId owner, uint64_t entry);
  SlotOutcome Refuse(VcpuId owner, uint64_t status, ParkFault fault);

  PowerTable& power_;
  const JudgeEntry judge_;
  const std::unique_ptr<Slot[]> slots_;
};

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_PARK_SLOTS_H_
