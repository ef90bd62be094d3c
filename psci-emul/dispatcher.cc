// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/dispatcher.h"

namespace psci {
namespace {

// Negative results are sign-extended to all of X0, for SMC32 calls too: that
// is what KVM returns, and who reads W0 sees no difference.
Return Result(int64_t value) { return Return{static_cast<uint64_t>(value)}; }
Return Result(Status status) { return Result(static_cast<int64_t>(status)); }

// SMCCC_VERSION itself is answered by KVM (its range is reserved), but a guest
// learns only here that it may call it. CPU_SUSPEND: original power_state
// format, no OS-initiated mode, hence 0 as well.
Status Features(uint32_t function) {
  return function == SMCCC_VERSION_ID || IsImplemented(function)
             ? Status::kSuccess
             : Status::kNotSupported;
}

// The affinity fields above `level`; `level` is 0 to 3.
constexpr uint64_t AffinityMask(uint64_t level) {
  constexpr uint64_t kMasks[] = {0xff00ffffff, 0xff00ffff00, 0xff00ff0000,
                                 0xff00000000};
  return kMasks[level];
}

}  // namespace

Outcome Dispatcher::Handle(const SmcccCall& raw) {
  const SmcccCall call = Narrowed(raw);
  const auto& [x1, x2, x3] = call.args;
  switch (call.function) {
    case PSCI_VERSION:
      return Result(PSCI_VERSION_1_1);
    case PSCI_FEATURES:
      return Result(Features(static_cast<uint32_t>(x1)));
    case PSCI_CPU_ON_32:
    case PSCI_CPU_ON_64:
      return Result(CpuOn(x1, x2, x3));
    case PSCI_CPU_OFF:
      return PowerDown{};
    case PSCI_AFFINITY_INFO_32:
    case PSCI_AFFINITY_INFO_64:
      return Result(AffinityInfo(x1, x2));
    case PSCI_CPU_SUSPEND_32:
    case PSCI_CPU_SUSPEND_64:
      return CpuSuspend(x1, x2);
    case PSCI_MIGRATE_INFO_TYPE:
      return Result(PSCI_MIGRATE_TYPE_NOT_REQUIRED);
    case PSCI_SYSTEM_OFF:
      return SystemOff{};
    case PSCI_SYSTEM_RESET:
      return SystemReset{};
    case PSCI_SYSTEM_RESET2_32:
    case PSCI_SYSTEM_RESET2_64:
      return Reset2(x1, x2);
    default:  // Refused PSCI calls (SYSTEM_SUSPEND, MIGRATE, ...) and
              // strangers.
      return Result(Status::kNotSupported);
  }
}

bool Dispatcher::IsValidEntry(uint64_t entry) const {
  return entry % 4 == 0 && is_ram_(entry);
}

Status Dispatcher::CpuOn(uint64_t target, uint64_t entry, uint64_t context_id) {
  const auto vcpu = table_.Find(Mpidr{target});
  if (!vcpu) return Status::kInvalidParameters;
  if (!IsValidEntry(entry)) return Status::kInvalidAddress;
  return table_.PowerOn(*vcpu, {entry, context_id}) ? Status::kSuccess
                                                    : Status::kAlreadyOn;
}

int64_t Dispatcher::AffinityInfo(uint64_t target, uint64_t level) const {
  constexpr auto kInvalid = static_cast<int64_t>(Status::kInvalidParameters);
  if (level > 3 || (target & ~uint64_t{MPIDR_AFFINITY_MASK}) != 0) {
    return kInvalid;
  }
  const auto answer = [this](VcpuId vcpu) {
    return table_.StateOf(vcpu) == PowerState::kOff ? PSCI_AFFINITY_OFF
                                                    : PSCI_AFFINITY_ON;
  };
  if (level == 0) {
    const auto vcpu = table_.Find(Mpidr{target});
    return vcpu ? answer(*vcpu) : kInvalid;
  }
  // Linux only ever asks for level 0; the others may walk.
  const uint64_t mask = AffinityMask(level);
  int64_t result = kInvalid;
  for (uint32_t i = 0; i < table_.size(); ++i) {
    const auto mpidr = static_cast<uint64_t>(table_.MpidrOf(VcpuId{i}));
    if ((mpidr & mask) != (target & mask)) continue;
    if (answer(VcpuId{i}) == PSCI_AFFINITY_ON) return PSCI_AFFINITY_ON;
    result = PSCI_AFFINITY_OFF;
  }
  return result;
}

Outcome Dispatcher::CpuSuspend(uint64_t power_state, uint64_t entry) const {
  constexpr uint64_t kKnown = PSCI_POWER_STATE_ID_MASK |
                              PSCI_POWER_STATE_TYPE_POWER_DOWN |
                              PSCI_POWER_STATE_LEVEL_MASK;
  // power_state is 32 bits wide in both forms of the call.
  if ((static_cast<uint32_t>(power_state) & ~kKnown) != 0) {
    return Result(Status::kInvalidParameters);
  }
  if ((power_state & PSCI_POWER_STATE_TYPE_POWER_DOWN) != 0 &&
      !IsValidEntry(entry)) {
    return Result(Status::kInvalidAddress);
  }
  return Suspend{};
}

Outcome Dispatcher::Reset2(uint64_t type, uint64_t cookie) const {
  const auto reset_type = static_cast<uint32_t>(type);
  if (reset_type != PSCI_RESET2_WARM && reset_type < PSCI_RESET2_VENDOR) {
    return Result(Status::kInvalidParameters);
  }
  return SystemReset{.reset2 = true, .type = reset_type, .cookie = cookie};
}

}  // namespace psci
