// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/event_fields.h"

#include <array>
#include <cstddef>

#include "psci-emul/smccc.h"

namespace vmm {
namespace {

using Kind = Event::Kind;
using Form = EventField::Form;

struct Row {
  Kind kind;
  absl::string_view name;
  absl::string_view call;  // psci::FunctionName(); calls alone have one.
  size_t count = 0;
  std::array<EventField, 3> fields = {};
};

// The one table of what events and their fields are called. A kind's first row
// names it; calls without a row have no arguments.
constexpr Row kRows[] = {
    {Kind::kPsci, "psci", "CPU_ON", 3, {{{"target"}, {"entry"}, {"context"}}}},
    {Kind::kPsci, "psci", "AFFINITY_INFO", 2, {{{"target"}, {"level"}}}},
    {Kind::kPsci,
     "psci",
     "CPU_SUSPEND",
     3,
     {{{"state"}, {"entry"}, {"context"}}}},
    {Kind::kPsci, "psci", "PSCI_FEATURES", 1, {{{"queried"}}}},
    {Kind::kPsci, "psci", "SYSTEM_RESET2", 2, {{{"type"}, {"cookie"}}}},
    {Kind::kParkStore, "park", "", 1, {{{"place"}}}},
    {Kind::kReleaseStore,
     "release",
     "",
     3,
     {{{"target"}, {"entry"}, {"place"}}}},
    {Kind::kOff, "off", "", 1, {{{"door", Form::kDoor}}}},
    {Kind::kStart, "start", "", 2, {{{"entry"}, {"context"}}}},
    {Kind::kMark,
     "mark",
     "",
     2,
     {{{"code", Form::kNumber}, {"value", Form::kNumber}}}},
    {Kind::kVerdict,
     "verdict",
     "",
     2,
     {{{"code", Form::kNumber}, {"value", Form::kNumber}}}},
    {Kind::kReset, "reset", "", 2, {{{"type"}, {"cookie"}}}},
    {Kind::kPowerOff, "power-off", ""},
};

}  // namespace

absl::string_view NameOf(Kind kind) {
  for (const Row& row : kRows) {
    if (row.kind == kind) return row.name;
  }
  return "?";
}

absl::Span<const EventField> FieldsOf(const Event& event) {
  const absl::string_view call = event.kind == Kind::kPsci
                                     ? psci::FunctionName(event.function)
                                     : absl::string_view();
  for (const Row& row : kRows) {
    if (row.kind == event.kind && row.call == call) {
      return absl::MakeConstSpan(row.fields).first(row.count);
    }
  }
  return {};
}

}  // namespace vmm
