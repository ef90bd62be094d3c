// SPDX-License-Identifier: Apache-2.0
// Any sequence of PSCI calls, parkings and stops, on the real table and on the
// model of it; and any call at all, which gets an answer that DEN0022 knows.
#include <variant>

#include "psci-emul/dispatcher.h"
#include "psci-emul/park_slots.h"
#include "psci-emul/power_table.h"
#include "tests/fuzz/fuzzer.h"
#include "tests/model/psci_twins.h"

namespace {

using psci::Mpidr;
using psci::PowerState;
using psci::PowerTable;
using psci::VcpuId;

constexpr size_t kMostSteps = 200;
constexpr std::array<uint64_t, 3> kMpidrs = {0, 1, 0x100};

void AsTheModel(fuzz::Input& input) {
  model::PsciTwins twins([](const std::string& what) {
    fuzz::Violation(__FILE__, __LINE__, what);
  });
  for (size_t i = 0; i < kMostSteps && !input.empty(); ++i) {
    const auto deed = static_cast<model::Deed>(
        input.TakeBelow(static_cast<uint32_t>(model::Deed::kCount)));
    const auto who = input.Take<uint8_t>();
    twins.Do(deed, who % 3, who / 3 % 3, input.Take<uint32_t>());
  }
}

// Whose calls have any numbers; the threads that they start run at once.
class AnyCalls {
 public:
  AnyCalls() {
    FUZZ_CHECK(table_.PowerOn(VcpuId{0}, {}));
    StartThoseThatWait();
  }

  // Returns whether the machine goes on.
  bool Call(const psci::SmcccCall& call) {
    const std::array<PowerState, 3> before = States();
    const psci::Outcome outcome = dispatcher_.Handle(call);
    const uint32_t function = call.function & ~uint32_t{SMCCC_SMC64};
    bool succeeds = false;
    if (const auto* const answer = std::get_if<psci::Return>(&outcome)) {
      const auto x0 = static_cast<int64_t>(answer->x0);
      FUZZ_CHECK(x0 == PSCI_VERSION_1_1 ||
                 (x0 >= PSCI_RET_INVALID_ADDRESS &&
                  x0 <= PSCI_MIGRATE_TYPE_NOT_REQUIRED));
      FUZZ_CHECK(x0 != PSCI_RET_ON_PENDING);
      succeeds = function == PSCI_CPU_ON_32 && x0 == PSCI_RET_SUCCESS;
      // What is not there is refused, and the other way round.
      if (!psci::IsImplemented(call.function)) {
        FUZZ_CHECK(x0 == PSCI_RET_NOT_SUPPORTED);
      }
    } else {
      FUZZ_CHECK(psci::IsImplemented(call.function));
    }
    const std::array<PowerState, 3> after = States();
    size_t started = 0;
    for (size_t i = 0; i < after.size(); ++i) {
      if (before[i] == after[i]) continue;
      FUZZ_CHECK(before[i] == PowerState::kOff &&
                 after[i] == PowerState::kOnPending);
      ++started;
    }
    FUZZ_CHECK(started == (succeeds ? 1u : 0u));
    StartThoseThatWait();
    if (!std::holds_alternative<psci::PowerDown>(outcome)) return true;
    FUZZ_CHECK(function == PSCI_CPU_OFF);
    for (uint32_t i = 0; i < table_.size(); ++i) {
      if (table_.StateOf(VcpuId{i}) != PowerState::kOn) continue;
      const bool last = table_.PowerOff(VcpuId{i});
      FUZZ_CHECK(last == (table_.CountOn() == 0));
      return !last;
    }
    return false;
  }

 private:
  std::array<PowerState, 3> States() const {
    return {table_.StateOf(VcpuId{0}), table_.StateOf(VcpuId{1}),
            table_.StateOf(VcpuId{2})};
  }
  void StartThoseThatWait() {
    uint32_t on = 0;
    for (uint32_t i = 0; i < table_.size(); ++i) {
      if (table_.StateOf(VcpuId{i}) == PowerState::kOnPending) {
        FUZZ_CHECK(table_.AwaitBoot(VcpuId{i}).has_value());
      }
      on += table_.StateOf(VcpuId{i}) == PowerState::kOn ? 1 : 0;
    }
    FUZZ_CHECK(table_.CountOn() == on);
  }

  PowerTable table_{{Mpidr{kMpidrs[0]}, Mpidr{kMpidrs[1]}, Mpidr{kMpidrs[2]}}};
  psci::Dispatcher dispatcher_{table_, [](uint64_t at) { return at % 3 == 0; }};
};

}  // namespace

FUZZ_TARGET(psci) {
  if (input.TakeBool()) return AsTheModel(input);
  AnyCalls calls;
  for (size_t i = 0; i < kMostSteps && !input.empty(); ++i) {
    const auto how = input.Take<uint8_t>();
    psci::SmcccCall call = {.function = input.Take<uint32_t>()};
    if ((how & 1) != 0) {
      call.function =
          (how & 2 ? PSCI_64(0) : PSCI_32(0)) | call.function % PSCI_NUMBERS;
    }
    call.args = {input.Take<uint64_t>(), input.Take<uint64_t>(),
                 input.Take<uint64_t>()};
    if ((how & 4) != 0) call.args[0] = kMpidrs[call.args[0] % 3];
    if (!calls.Call(call)) return;
  }
}
