// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_DISPATCHER_H_
#define PARKVMM_PSCI_EMUL_DISPATCHER_H_

#include <cstdint>
#include <functional>
#include <variant>

#include "psci-emul/power_table.h"
#include "psci-emul/smccc.h"
#include "psci-emul/types.h"

namespace psci {

// What the calling vCPU's thread must do next. Plain values, so a test can
// compare them and an event can carry them.

// Write `x0`, re-enter the guest.
struct Return {
  uint64_t x0;
  friend bool operator==(const Return&, const Return&) = default;
};
// CPU_SUSPEND: wait for a wake-up event, then Return{SUCCESS}. Power-down
// requests too: DEN0022 5.4 lets an implementation answer one with standby.
struct Suspend {
  friend bool operator==(const Suspend&, const Suspend&) = default;
};
// CPU_OFF: PowerTable::PowerOff(), then wait in AwaitBoot().
struct PowerDown {
  friend bool operator==(const PowerDown&, const PowerDown&) = default;
};
// SYSTEM_OFF: no vCPU runs another instruction.
struct SystemOff {
  friend bool operator==(const SystemOff&, const SystemOff&) = default;
};
// SYSTEM_RESET, or SYSTEM_RESET2 with its type and cookie; likewise final.
struct SystemReset {
  bool reset2 = false;
  uint32_t type = 0;
  uint64_t cookie = 0;
  friend bool operator==(const SystemReset&, const SystemReset&) = default;
};
using Outcome =
    std::variant<Return, Suspend, PowerDown, SystemOff, SystemReset>;

// Answers PSCI 1.1 (DEN0022D). Stateless but for the PowerTable; any vCPU
// thread may call it, concurrently.
class Dispatcher {
 public:
  // `is_ram(address)` says whether a guest physical address is RAM.
  Dispatcher(PowerTable& table, std::function<bool(uint64_t)> is_ram)
      : table_(table), is_ram_(std::move(is_ram)) {}

  // `call` need not be narrowed; arguments past ArgumentCount() are ignored.
  Outcome Handle(const SmcccCall& call);

 private:
  Status CpuOn(uint64_t target, uint64_t entry, uint64_t context_id);
  int64_t AffinityInfo(uint64_t target, uint64_t lowest_level) const;
  Outcome CpuSuspend(uint64_t power_state, uint64_t entry) const;
  Outcome Reset2(uint64_t type, uint64_t cookie) const;
  bool IsValidEntry(uint64_t entry) const;

  PowerTable& table_;
  const std::function<bool(uint64_t)> is_ram_;
};

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_DISPATCHER_H_
