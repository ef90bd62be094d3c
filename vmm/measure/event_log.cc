// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/event_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "psci-emul/power_state.h"
#include "psci-emul/smccc.h"
#include "vmm/base/status_macros.h"
#include "vmm/measure/event_fields.h"

namespace vmm {
namespace {

void AppendField(std::string& line, const EventField& field, uint64_t value) {
  absl::StrAppend(&line, ",\"", field.name, "\":");
  switch (field.form) {
    case EventField::Form::kHex:
      absl::StrAppendFormat(&line, R"("0x%x")", value);
      return;
    case EventField::Form::kNumber:
      absl::StrAppend(&line, value);
      return;
    case EventField::Form::kDoor:
      absl::StrAppend(&line, "\"", psci::Name(static_cast<psci::Door>(value)),
                      "\"");
      return;
  }
}

}  // namespace

EventLog::EventLog(std::vector<uint64_t> mpidrs, uint64_t max_lines)
    : mpidrs_(std::move(mpidrs)), max_lines_(max_lines) {
  const auto add = [this] {
    rings_.push_back(std::make_unique<EventRing>(wake_));
  };
  for (size_t i = 0; i != mpidrs_.size(); ++i) add();
  add();  // The observers'.
}

absl::Status EventLog::WriteTo(const std::string& path, bool append) {
  ASSIGN_OR_RETURN(file_,
                   FileStream::Open(path, append ? FileStream::Start::kAtEnd
                                                 : FileStream::Start::kEmpty));
  return absl::OkStatus();
}

// Formats the line by hand, because there may be millions. Every value is a
// number or a name that the VMM chose, so nothing needs escaping.
std::string EventLog::Line(const Event& event) const {
  std::string line = absl::StrFormat(
      R"({"ns":%d,"vcpu":%d,"mpidr":"0x%x","event":"%s")", event.ns, event.vcpu,
      mpidrs_[event.vcpu], NameOf(event.kind));
  if (event.kind == Event::Kind::kPsci) {
    absl::StrAppendFormat(&line, R"(,"call":"%s","function":"0x%x")",
                          psci::FunctionName(event.function), event.function);
  }
  const auto fields = FieldsOf(event);
  for (size_t i = 0; i < fields.size() && i < event.arguments; ++i) {
    AppendField(line, fields[i], event.args[i]);
  }
  if (event.kind == Event::Kind::kPsci) {
    absl::StrAppend(&line, R"(,"result":)", event.result);
  }
  if (event.firmware_ns != 0) {
    absl::StrAppend(&line, R"(,"firmware_ns":)", event.firmware_ns);
  }
  if (event.sampled) absl::StrAppend(&line, R"(,"sampled":true)");
  absl::StrAppend(&line, "}\n");
  return line;
}

void EventLog::Gather() {
  for (const auto& ring : rings_) ring->Drain(pending_);
}

bool EventLog::Sleep() {
  if (!pending_.empty()) return false;
  wake_.Sleep();
  Gather();
  return pending_.empty();
}

absl::Status EventLog::Drain(int64_t until_ns,
                             const std::function<void(const Event&)>& each) {
  wake_.Heard();
  Gather();
  std::stable_sort(pending_.begin(), pending_.end(),
                   [](const Event& a, const Event& b) { return a.ns < b.ns; });
  const auto end = std::find_if(
      pending_.begin(), pending_.end(),
      [until_ns](const Event& event) { return event.ns >= until_ns; });
  std::string lines;
  for (auto event = pending_.begin(); event != end; ++event) {
    each(*event);
    if (!file_) continue;
    if (lines_ < max_lines_) {
      ++lines_;
      absl::StrAppend(&lines, Line(*event));
    } else {
      ++lost_lines_;
    }
  }
  pending_.erase(pending_.begin(), end);
  return file_ ? file_->Write(lines) : absl::OkStatus();
}

uint64_t EventLog::lost() const {
  uint64_t lost = lost_lines_;
  for (const auto& ring : rings_) lost += ring->lost();
  return lost;
}

}  // namespace vmm
