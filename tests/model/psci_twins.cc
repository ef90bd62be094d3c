// SPDX-License-Identifier: Apache-2.0
#include "tests/model/psci_twins.h"

#include <optional>

namespace model {
namespace {

using psci::BootContext;
using psci::Door;
using psci::Mpidr;
using psci::Outcome;
using psci::PowerDown;
using psci::PowerState;
using psci::Return;
using psci::SmcccCall;
using psci::Status;
using psci::Suspend;
using psci::VcpuId;

constexpr std::array<uint64_t, PsciTwins::kCpus> kMpidrs = {0, 1, 0x100};
constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kRamEnd = 0x48000000;

bool Wide(uint32_t detail) { return (detail & 1) != 0; }

// SMC32 callers leave anything in the upper halves.
SmcccCall CallOf(uint32_t narrow, uint32_t wide, uint32_t detail,
                 std::array<uint64_t, 3> args) {
  if (Wide(detail)) return {wide, args};
  for (uint64_t& arg : args) arg |= uint64_t{detail} << 32;
  return {narrow, args};
}

}  // namespace

#define AGREE(condition) Require(condition, #condition)

PsciTwins::PsciTwins(OnWrong on_wrong)
    : on_wrong_(std::move(on_wrong)),
      table_({Mpidr{kMpidrs[0]}, Mpidr{kMpidrs[1]}, Mpidr{kMpidrs[2]}}),
      dispatcher_(table_,
                  [](uint64_t at) { return at >= kRam && at < kRamEnd; }),
      model_(kCpus, Bug::kNone),
      key_(model_.Initial()) {
  // As Machine::Start.
  contexts_[0] = {kRam, 0};
  AGREE(table_.PowerOn(VcpuId{0}, contexts_[0]));
  for (uint8_t i = 0; i < kCpus; ++i) Boot(i);
}

void PsciTwins::Do(Deed deed, uint8_t caller, uint8_t target, uint32_t detail) {
  switch (deed) {
    case Deed::kOn:
    case Deed::kRelease:
      if (InGuest(caller)) On(deed, caller, target, detail);
      break;
    case Deed::kBoot:
      Boot(target);
      break;
    case Deed::kOff:
    case Deed::kPark:
      if (InGuest(caller)) Off(deed, caller);
      break;
    case Deed::kAffinity:
      if (InGuest(caller)) Affinity(caller, target, detail);
      break;
    case Deed::kSuspend:
      if (InGuest(caller)) Suspends(caller, detail);
      break;
    case Deed::kBadTarget:
      AGREE(CallOn(0x80000000 | target, kRam, detail) ==
            Status::kInvalidParameters);
      break;
    case Deed::kBadEntry:
      AGREE(CallOn(kMpidrs[target], detail % 2 == 0 ? kRamEnd : kRam + 2,
                   detail) == Status::kInvalidAddress);
      break;
    case Deed::kStop:
      Stop();
      break;
    case Deed::kTell:
      if (Now().stopper != 0) key_ = model_.Settle(key_, kController);
      break;
    case Deed::kCount:
      break;
  }
  for (uint8_t i = 0; i < kCpus; ++i) {
    const model::Word word = Now().cpus[i].word;
    AGREE(table_.StateOf(VcpuId{i}) == word.state);
    AGREE(table_.IsParked(VcpuId{i}, Door::kPage) == word.parked);
  }
}

// A CPU that was kicked has no decision left; here it leaves.
bool PsciTwins::InGuest(uint8_t cpu) {
  if (Now().cpus[cpu].pc <= Pc::kAsleep) return false;
  key_ = model_.Settle(key_, cpu);
  return Now().cpus[cpu].pc == Pc::kGuest;
}

void PsciTwins::Decide(uint8_t actor, const char* what, uint8_t target) {
  key_ = model_.Decide(key_, actor, what, target);
  AGREE(key_ != ~Key{0});
}

Status PsciTwins::CallOn(uint64_t mpidr, uint64_t entry, uint32_t detail) {
  const Outcome outcome = dispatcher_.Handle(
      CallOf(PSCI_CPU_ON_32, PSCI_CPU_ON_64, detail, {mpidr, entry, detail}));
  AGREE(std::holds_alternative<Return>(outcome));
  return Status{static_cast<int32_t>(std::get<Return>(outcome).x0)};
}

void PsciTwins::On(Deed deed, uint8_t caller, uint8_t target, uint32_t detail) {
  const bool was_owed = Now().cpus[target].owed != 0;
  Decide(caller, deed == Deed::kOn ? "CPU_ON" : "release", target);
  key_ = model_.Settle(key_, caller);
  const bool wins = !was_owed && Now().cpus[target].owed != 0;
  const BootContext context = {kRam + (detail % 1024) * 4, detail};
  if (wins) contexts_[target] = context;
  if (deed == Deed::kOn) {
    AGREE(CallOn(kMpidrs[target], context.entry, detail) ==
          (wins ? Status::kSuccess : Status::kAlreadyOn));
  } else {
    AGREE(table_.Release(VcpuId{target}, Door::kPage, context) == wins);
  }
}

void PsciTwins::Boot(uint8_t cpu) {
  const auto before = Now().cpus[cpu];
  key_ = model_.Settle(key_, cpu);
  const auto after = Now().cpus[cpu];
  if (before.pc > Pc::kAsleep) return;
  if (before.owed != 0 && after.owed == 0) {
    AGREE(table_.AwaitBoot(VcpuId{cpu}) == contexts_[cpu]);
  } else if (after.pc == Pc::kStopped) {
    AGREE(table_.AwaitBoot(VcpuId{cpu}) == std::nullopt);
  }  // Else it sleeps, and so would we.
}

void PsciTwins::Off(Deed deed, uint8_t caller) {
  AGREE(dispatcher_.Handle({PSCI_CPU_OFF, {}}) == Outcome(PowerDown{}));
  Decide(caller, deed == Deed::kOff ? "CPU_OFF" : "park");
  const bool last = Now().cpus[caller].flag;
  AGREE(table_.PowerOff(VcpuId{caller},
                        deed == Deed::kOff ? Door::kCpuOff : Door::kPage) ==
        last);
  key_ = model_.Settle(key_, caller);
  if (last) table_.Shutdown();  // As VcpuThread, by way of RequestStop.
  if (Now().cpus[caller].pc == Pc::kStopped) {
    AGREE(table_.AwaitBoot(VcpuId{caller}) == std::nullopt);
  }
}

void PsciTwins::Affinity(uint8_t caller, uint8_t target, uint32_t detail) {
  const uint64_t level = detail / 2 % 4;
  // Level 1: CPUs 0 and 1 are one cluster, 2 another; above, all are one.
  const auto in_node = [&](uint8_t cpu) {
    if (level == 0) return cpu == target;
    return level > 1 || kMpidrs[cpu] >> 8 == kMpidrs[target] >> 8;
  };
  uint64_t expected = PSCI_AFFINITY_OFF;
  for (uint8_t i = 0; i < kCpus; ++i) {
    const bool off = Now().cpus[i].word.state == PowerState::kOff;
    if (in_node(i) && !off) expected = PSCI_AFFINITY_ON;
  }
  AGREE(dispatcher_.Handle(CallOf(PSCI_AFFINITY_INFO_32, PSCI_AFFINITY_INFO_64,
                                  detail, {kMpidrs[target], level, 0})) ==
        Outcome(Return{expected}));
  Decide(caller, "AFFINITY_INFO", target);
  key_ = model_.Settle(key_, caller);
}

void PsciTwins::Suspends(uint8_t caller, uint32_t detail) {
  AGREE(dispatcher_.Handle(CallOf(PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64,
                                  detail, {})) == Outcome(Suspend{}));
  Decide(caller, "CPU_SUSPEND");
  key_ = model_.Settle(key_, caller);
  if (Now().cpus[caller].pc != Pc::kSuspended) return;  // Told to stop.
  Decide(caller, "Run: Wakeup");
  key_ = model_.Settle(key_, caller);
}

// As far as the table is concerned; kTell does the rest.
void PsciTwins::Stop() {
  if (Now().stopper != 0) return;
  Decide(kController, "Machine::RequestStop: StopLatch::Set");
  while (Now().stop < 2 * kCpus) key_ = model_.Advance(key_, kController);
  table_.Shutdown();
}

}  // namespace model
