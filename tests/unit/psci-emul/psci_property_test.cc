// SPDX-License-Identifier: Apache-2.0
// Random sequences on the real PowerTable and Dispatcher, against the model
// that psci_model_test explores: what is proven of the one holds for the other
// as far as both answer alike.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "psci-emul/dispatcher.h"
#include "psci-emul/power_table.h"
#include "tests/model/psci_model.h"

namespace psci {
namespace {

using model::Key;
using model::Pc;
using model::PsciModel;
using model::State;

constexpr uint8_t kCpus = model::kMaxCpus;
constexpr std::array<uint64_t, kCpus> kMpidrs = {0, 1, 0x100};
constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kRamEnd = 0x48000000;

// RapidCheck reads it once, at the first property.
[[maybe_unused]] const int kMoreRuns =
    setenv("RC_PARAMS", "max_success=1000", /*overwrite=*/0);

enum class Kind : uint8_t {
  kOn,
  kRelease,
  kBoot,  // The target's thread gets to run.
  kOff,
  kPark,
  kAffinity,
  kSuspend,
  kBadTarget,
  kBadEntry,
  kStop,
  kTell,  // The stop gets as far as the threads that run.
  kCount,
};

// Kind, caller, target, and a number to make the rest of.
using Command = std::tuple<uint8_t, uint8_t, uint8_t, uint32_t>;

rc::Gen<std::vector<Command>> Commands() {
  // Stops are rare, or no sequence would get anywhere.
  const auto kind = rc::gen::weightedOneOf<uint8_t>(
      {{40, rc::gen::inRange<uint8_t>(0, static_cast<uint8_t>(Kind::kStop))},
       {1, rc::gen::inRange<uint8_t>(static_cast<uint8_t>(Kind::kStop),
                                     static_cast<uint8_t>(Kind::kCount))}});
  return rc::gen::container<std::vector<Command>>(rc::gen::tuple(
      kind, rc::gen::inRange<uint8_t>(0, kCpus),
      rc::gen::inRange<uint8_t>(0, kCpus), rc::gen::arbitrary<uint32_t>()));
}

// The table, the model, and the contexts, which the model does not carry.
class Twins {
 public:
  Twins()
      : table_({Mpidr{kMpidrs[0]}, Mpidr{kMpidrs[1]}, Mpidr{kMpidrs[2]}}),
        dispatcher_(table_,
                    [](uint64_t at) { return at >= kRam && at < kRamEnd; }),
        model_(kCpus, model::Bug::kNone),
        key_(model_.Initial()) {
    // As Machine::Start.
    contexts_[0] = {kRam, 0};
    RC_ASSERT(table_.PowerOn(VcpuId{0}, contexts_[0]));
    for (uint8_t i = 0; i < kCpus; ++i) Boot(i);
  }

  void Do(const Command& command) {
    const auto& [kind, caller, target, detail] = command;
    switch (Kind{kind}) {
      case Kind::kOn:
      case Kind::kRelease:
        if (InGuest(caller)) On(Kind{kind}, caller, target, detail);
        break;
      case Kind::kBoot:
        Boot(target);
        break;
      case Kind::kOff:
      case Kind::kPark:
        if (InGuest(caller)) Off(Kind{kind}, caller);
        break;
      case Kind::kAffinity:
        if (InGuest(caller)) Affinity(caller, target, detail);
        break;
      case Kind::kSuspend:
        if (InGuest(caller)) Suspends(caller, detail);
        break;
      case Kind::kBadTarget:
        RC_ASSERT(CallOn(0x80000000 | target, kRam, detail) ==
                  Status::kInvalidParameters);
        break;
      case Kind::kBadEntry:
        RC_ASSERT(CallOn(kMpidrs[target], detail % 2 == 0 ? kRamEnd : kRam + 2,
                         detail) == Status::kInvalidAddress);
        break;
      case Kind::kStop:
        Stop();
        break;
      case Kind::kTell:
        if (Now().stopper != 0) key_ = model_.Settle(key_, kController);
        break;
      case Kind::kCount:
        break;
    }
    for (uint8_t i = 0; i < kCpus; ++i) {
      const model::Word word = Now().cpus[i].word;
      RC_ASSERT(table_.StateOf(VcpuId{i}) == word.state);
      RC_ASSERT(table_.IsParked(VcpuId{i}, Door::kPage) == word.parked);
    }
  }

 private:
  static constexpr uint8_t kController = PsciModel::kController;

  State Now() const { return PsciModel::Unpack(key_); }

  // A CPU that was kicked has no decision left; here it leaves.
  bool InGuest(uint8_t cpu) {
    if (Now().cpus[cpu].pc <= Pc::kAsleep) return false;
    key_ = model_.Settle(key_, cpu);
    return Now().cpus[cpu].pc == Pc::kGuest;
  }

  void Decide(uint8_t actor, const char* what, uint8_t target = 0) {
    key_ = model_.Decide(key_, actor, what, target);
    RC_ASSERT(key_ != ~Key{0});
  }

  static bool Wide(uint32_t detail) { return (detail & 1) != 0; }

  // SMC32 callers leave anything in the upper halves.
  SmcccCall CallOf(uint32_t narrow, uint32_t wide, uint32_t detail,
                   std::array<uint64_t, 3> args) {
    if (Wide(detail)) return {wide, args};
    for (uint64_t& arg : args) arg |= uint64_t{detail} << 32;
    return {narrow, args};
  }

  Status CallOn(uint64_t mpidr, uint64_t entry, uint32_t detail) {
    const Outcome outcome = dispatcher_.Handle(
        CallOf(PSCI_CPU_ON_32, PSCI_CPU_ON_64, detail, {mpidr, entry, detail}));
    RC_ASSERT(std::holds_alternative<Return>(outcome));
    return Status{static_cast<int32_t>(std::get<Return>(outcome).x0)};
  }

  void On(Kind kind, uint8_t caller, uint8_t target, uint32_t detail) {
    const bool was_owed = Now().cpus[target].owed != 0;
    Decide(caller, kind == Kind::kOn ? "CPU_ON" : "release", target);
    key_ = model_.Settle(key_, caller);
    const bool wins = !was_owed && Now().cpus[target].owed != 0;
    const BootContext context = {kRam + (detail % 1024) * 4, detail};
    if (wins) contexts_[target] = context;
    if (kind == Kind::kOn) {
      RC_ASSERT(CallOn(kMpidrs[target], context.entry, detail) ==
                (wins ? Status::kSuccess : Status::kAlreadyOn));
    } else {
      RC_ASSERT(table_.Release(VcpuId{target}, Door::kPage, context) == wins);
    }
  }

  void Boot(uint8_t cpu) {
    const auto before = Now().cpus[cpu];
    key_ = model_.Settle(key_, cpu);
    const auto after = Now().cpus[cpu];
    if (before.pc > Pc::kAsleep) return;
    if (before.owed != 0 && after.owed == 0) {
      RC_ASSERT(table_.AwaitBoot(VcpuId{cpu}) == contexts_[cpu]);
    } else if (after.pc == Pc::kStopped) {
      RC_ASSERT(table_.AwaitBoot(VcpuId{cpu}) == std::nullopt);
    }  // Else it sleeps, and so would we.
  }

  void Off(Kind kind, uint8_t caller) {
    RC_ASSERT(dispatcher_.Handle({PSCI_CPU_OFF, {}}) == Outcome(PowerDown{}));
    Decide(caller, kind == Kind::kOff ? "CPU_OFF" : "park");
    const bool last = Now().cpus[caller].flag;
    RC_ASSERT(table_.PowerOff(VcpuId{caller}, kind == Kind::kOff
                                                  ? Door::kCpuOff
                                                  : Door::kPage) == last);
    key_ = model_.Settle(key_, caller);
    if (last) table_.Shutdown();  // As VcpuThread, by way of RequestStop.
    if (Now().cpus[caller].pc == Pc::kStopped) {
      RC_ASSERT(table_.AwaitBoot(VcpuId{caller}) == std::nullopt);
    }
  }

  void Affinity(uint8_t caller, uint8_t target, uint32_t detail) {
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
    RC_ASSERT(dispatcher_.Handle(CallOf(
                  PSCI_AFFINITY_INFO_32, PSCI_AFFINITY_INFO_64, detail,
                  {kMpidrs[target], level, 0})) == Outcome(Return{expected}));
    Decide(caller, "AFFINITY_INFO", target);
    key_ = model_.Settle(key_, caller);
  }

  void Suspends(uint8_t caller, uint32_t detail) {
    RC_ASSERT(dispatcher_.Handle(CallOf(PSCI_CPU_SUSPEND_32,
                                        PSCI_CPU_SUSPEND_64, detail, {})) ==
              Outcome(Suspend{}));
    Decide(caller, "CPU_SUSPEND");
    key_ = model_.Settle(key_, caller);
    if (Now().cpus[caller].pc != Pc::kSuspended) return;  // Told to stop.
    Decide(caller, "Run: Wakeup");
    key_ = model_.Settle(key_, caller);
  }

  // As far as the table is concerned; kTell does the rest.
  void Stop() {
    if (Now().stopper != 0) return;
    Decide(kController, "Machine::RequestStop: StopLatch::Set");
    while (Now().stop < 2 * kCpus) key_ = model_.Advance(key_, kController);
    table_.Shutdown();
  }

  PowerTable table_;
  Dispatcher dispatcher_;
  const PsciModel model_;
  Key key_;
  std::array<BootContext, kCpus> contexts_;
};

RC_GTEST_PROP(PsciPropertyTest, TheTableDoesWhatTheModelDoes, ()) {
  const auto commands = *Commands();
  Twins twins;
  for (const Command& command : commands) twins.Do(command);
}

// Whatever a guest passes, it gets an answer that DEN0022 knows, and only calls
// that may turn something on do.
RC_GTEST_PROP(PsciPropertyTest, AnyCallAtAllHasALegalAnswer,
              (uint32_t number, uint64_t x1, uint64_t x2, uint64_t x3)) {
  PowerTable table({Mpidr{0}, Mpidr{1}});
  RC_ASSERT(table.PowerOn(VcpuId{0}, {}));
  RC_ASSERT(table.AwaitBoot(VcpuId{0}).has_value());
  Dispatcher dispatcher(table, [](uint64_t at) { return at % 3 == 0; });
  const uint32_t function =
      PSCI_32(number % PSCI_NUMBERS) | (number & SMCCC_SMC64);
  const Outcome outcome = dispatcher.Handle({function, {x1 % 8, x2 % 64, x3}});
  if (const auto* answer = std::get_if<Return>(&outcome)) {
    const auto x0 = static_cast<int64_t>(answer->x0);
    RC_ASSERT(x0 == PSCI_VERSION_1_1 || (x0 >= PSCI_RET_INVALID_ADDRESS &&
                                         x0 <= PSCI_MIGRATE_TYPE_NOT_REQUIRED));
    RC_ASSERT(x0 != PSCI_RET_ON_PENDING);
  }
  const bool is_on = (function & ~uint32_t{SMCCC_SMC64}) == PSCI_CPU_ON_32;
  const bool success = outcome == Outcome(Return{PSCI_RET_SUCCESS});
  RC_ASSERT((table.StateOf(VcpuId{1}) != PowerState::kOff) ==
            (is_on && success));
  RC_CLASSIFY(is_on && success);
}

}  // namespace
}  // namespace psci
