// SPDX-License-Identifier: Apache-2.0
// Random sequences on the real PowerTable and Dispatcher, against the model
// that psci_model_test explores: what is proven of the one holds for the other
// as far as both answer alike.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <string>
#include <tuple>
#include <vector>

#include "psci-emul/dispatcher.h"
#include "psci-emul/power_table.h"
#include "tests/model/psci_twins.h"

namespace psci {
namespace {

using model::Deed;
using model::PsciTwins;

constexpr uint8_t kCpus = PsciTwins::kCpus;

// RapidCheck reads it once, at the first property.
[[maybe_unused]] const int kMoreRuns =
    setenv("RC_PARAMS", "max_success=1000", /*overwrite=*/0);

// Deed, caller, target, and a number to make the rest of.
using Command = std::tuple<uint8_t, uint8_t, uint8_t, uint32_t>;

rc::Gen<std::vector<Command>> Commands() {
  // Stops are rare, or no sequence would get anywhere.
  const auto kind = rc::gen::weightedOneOf<uint8_t>(
      {{40, rc::gen::inRange<uint8_t>(0, static_cast<uint8_t>(Deed::kStop))},
       {1, rc::gen::inRange<uint8_t>(static_cast<uint8_t>(Deed::kStop),
                                     static_cast<uint8_t>(Deed::kCount))}});
  return rc::gen::container<std::vector<Command>>(rc::gen::tuple(
      kind, rc::gen::inRange<uint8_t>(0, kCpus),
      rc::gen::inRange<uint8_t>(0, kCpus), rc::gen::arbitrary<uint32_t>()));
}

RC_GTEST_PROP(PsciPropertyTest, TheTableDoesWhatTheModelDoes, ()) {
  const auto commands = *Commands();
  PsciTwins twins([](const std::string& what) { RC_FAIL(what); });
  for (const auto& [deed, caller, target, detail] : commands) {
    twins.Do(Deed{deed}, caller, target, detail);
  }
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
