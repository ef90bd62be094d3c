// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/exit_dispatcher.h"

#include <utility>
#include <variant>

#include "absl/strings/str_format.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

constexpr uint64_t kSuccess = 0;
constexpr auto kAlreadyOn = static_cast<uint64_t>(PSCI_RET_ALREADY_ON);
constexpr auto kNotSupported = static_cast<uint64_t>(PSCI_RET_NOT_SUPPORTED);

}  // namespace

absl::StatusOr<NextStep> ExitDispatcher::Dispatch(const VcpuExit& exit,
                                                  Vcpu& vcpu) {
  return std::visit([&](const auto& which) { return On(which, vcpu); }, exit);
}

absl::StatusOr<NextStep> ExitDispatcher::On(const MmioRead& exit, Vcpu& vcpu) {
  const auto value = bus_.Read(self_, exit.address, exit.size);
  if (!value) NoteUnowned(exit.address);
  vcpu.AnswerRead(value.value_or(0));
  return NextStep::kResume;
}

absl::StatusOr<NextStep> ExitDispatcher::On(const MmioWrite& exit, Vcpu&) {
  const auto after = bus_.Write(self_, exit.address, exit.size, exit.value);
  if (!after) NoteUnowned(exit.address);
  // The park device alone answers so.
  return after == AfterWrite::kPark ? NextStep::kParkDevice : NextStep::kResume;
}

absl::StatusOr<NextStep> ExitDispatcher::On(const Hypercall& exit, Vcpu& vcpu) {
  const int64_t now = clock_.Now();
  psci::SmcccCall call = {.function = exit.function};
  const unsigned arguments = psci::ArgumentCount(exit.function);
  RETURN_IF_ERROR(
      vcpu.ReadArguments(absl::MakeSpan(call.args).first(arguments)));
  call = psci::Narrowed(call);

  const psci::Outcome outcome = psci_.Handle(call);
  const auto* const answer = std::get_if<psci::Return>(&outcome);
  events_.Push({.ns = now,
                .vcpu = self_,
                .kind = Event::Kind::kPsci,
                .arguments = static_cast<uint8_t>(arguments),
                .function = exit.function,
                .args = call.args,
                .result = answer ? static_cast<int64_t>(answer->x0) : 0});
  if (answer != nullptr) {
    if (answer->x0 == kNotSupported && !psci::IsImplemented(exit.function)) {
      ++mistakes_.unknown_calls;
    }
    if (answer->x0 == kAlreadyOn) {
      parking_.OnCpuOnRefused(psci::VcpuId{self_}, call.args[0]);
    }
    RETURN_IF_ERROR(vcpu.WriteX(0, answer->x0));
    return NextStep::kResume;
  }
  if (std::holds_alternative<psci::PowerDown>(outcome)) {
    return NextStep::kTurnOff;
  }
  if (std::holds_alternative<psci::Suspend>(outcome)) {
    RETURN_IF_ERROR(vcpu.WriteX(0, kSuccess));
    RETURN_IF_ERROR(vcpu.Suspend());
    return NextStep::kResume;
  }
  if (const auto* reset = std::get_if<psci::SystemReset>(&outcome)) {
    return StopFor({.kind = Kind::kReset,
                    .vcpu = self_,
                    .reset2 = reset->reset2,
                    .code = reset->type,
                    .value = reset->cookie},
                   Event::Kind::kReset);
  }
  return StopFor({.kind = Kind::kPowerOff, .vcpu = self_},
                 Event::Kind::kPowerOff);
}

void ExitDispatcher::NoteUnowned(GuestAddress address) {
  if (mistakes_.unowned_accesses++ == 0) {
    mistakes_.first_unowned = address.value();
  }
}

NextStep ExitDispatcher::StopFor(StopReason reason) {
  stop_reason_ = std::move(reason);
  return NextStep::kStop;
}

NextStep ExitDispatcher::StopFor(StopReason reason, Event::Kind kind) {
  events_.Push({.ns = clock_.Now(),
                .vcpu = self_,
                .kind = kind,
                .arguments = static_cast<uint8_t>(reason.reset2 ? 2 : 0),
                .args = {reason.code, reason.value}});
  return StopFor(std::move(reason));
}

absl::StatusOr<NextStep> ExitDispatcher::On(const Interrupted&, Vcpu&) {
  return NextStep::kResume;  // The loop looks whether it is to stop.
}

absl::StatusOr<NextStep> ExitDispatcher::On(const Wakeup&, Vcpu& vcpu) {
  RETURN_IF_ERROR(vcpu.Resume());
  return NextStep::kResume;
}

absl::StatusOr<NextStep> ExitDispatcher::On(const SystemEvent& exit, Vcpu&) {
  switch (exit.kind) {
    case SystemEvent::Kind::kShutdown:
      return StopFor({.kind = Kind::kPowerOff, .vcpu = self_},
                     Event::Kind::kPowerOff);
    case SystemEvent::Kind::kReset:
    case SystemEvent::Kind::kReset2:
      return StopFor({.kind = Kind::kReset,
                      .vcpu = self_,
                      .reset2 = exit.kind == SystemEvent::Kind::kReset2},
                     Event::Kind::kReset);
    case SystemEvent::Kind::kCrash:
      return StopFor({.kind = Kind::kStuck,
                      .detail = "KVM reported a system crash",
                      .vcpu = self_});
    case SystemEvent::Kind::kSuspend:
      break;
  }
  return StopFor(
      {.kind = Kind::kVmmError,
       .detail = "KVM asked for a system suspend that was not enabled",
       .vcpu = self_});
}

absl::StatusOr<NextStep> ExitDispatcher::On(const NoSyndrome&, Vcpu& vcpu) {
  ++mistakes_.undecodable;
  RETURN_IF_ERROR(vcpu.InjectDataAbort());
  return NextStep::kResume;
}

absl::StatusOr<NextStep> ExitDispatcher::On(const StoreRefused& exit,
                                            Vcpu& vcpu) {
  return OnGuardedStore(exit, vcpu);
}

absl::StatusOr<NextStep> ExitDispatcher::On(const DebugStop& exit, Vcpu& vcpu) {
  if (exit.kind == DebugStop::Kind::kWatchedStore) {
    return OnGuardedStore(exit, vcpu);
  }
  return NextStep::kResume;
}

absl::StatusOr<NextStep> ExitDispatcher::OnGuardedStore(const VcpuExit& exit,
                                                        Vcpu& vcpu) {
  ASSIGN_OR_RETURN(const Parking::StoreOutcome outcome,
                   parking_.OnStore(psci::VcpuId{self_}, vcpu, exit));
  if (outcome.parks) return NextStep::kParkPage;
  return outcome.then ? Dispatch(*outcome.then, vcpu) : NextStep::kResume;
}

absl::StatusOr<NextStep> ExitDispatcher::On(const EntryFailed& exit, Vcpu&) {
  return StopFor(
      {.kind = Kind::kStuck,
       .detail = absl::StrFormat("KVM could not run vCPU %d (reason %#x)",
                                 self_, exit.reason),
       .vcpu = self_});
}

absl::StatusOr<NextStep> ExitDispatcher::On(const Unhandled& exit, Vcpu&) {
  return StopFor({.kind = Kind::kVmmError,
                  .detail = absl::StrFormat(
                      "KVM left vCPU %d for a reason not known here (%d)",
                      self_, exit.reason),
                  .vcpu = self_});
}

}  // namespace vmm
