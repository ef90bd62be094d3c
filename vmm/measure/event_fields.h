// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_EVENT_FIELDS_H_
#define PARKVMM_VMM_MEASURE_EVENT_FIELDS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vmm/measure/event.h"

namespace vmm {

// One of an event's arguments, as docs/schemas/events.schema.json has it.
struct EventField {
  enum class Form {
    kHex,     // "0x40080000": addresses, affinities, any 64 bits.
    kNumber,  // 4: fits a double.
    kDoor,    // "page": by which psci::Door.
  };
  absl::string_view name;
  Form form = Form::kHex;
};

// Returns the kind's name: "off" and "start" are power transitions, "park" and
// "release" are stores to a page or slot.
absl::string_view NameOf(Event::Kind kind);

// Returns the names of `event.args`, in their order. The event may have fewer
// arguments. The fields of a call are those of its function.
absl::Span<const EventField> FieldsOf(const Event& event);

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_EVENT_FIELDS_H_
