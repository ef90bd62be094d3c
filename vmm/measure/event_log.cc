// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/event_log.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "psci-emul/smccc.h"
#include "vmm/base/errno_status.h"

namespace vmm {
namespace {

constexpr absl::string_view Name(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::kPsci:
      return "psci";
    case Event::Kind::kParkStore:
      return "park-store";
    case Event::Kind::kReleaseStore:
      return "release-store";
    case Event::Kind::kOff:
      return "park";
    case Event::Kind::kStart:
      return "release";
    case Event::Kind::kMark:
      return "mark";
    case Event::Kind::kVerdict:
      return "verdict";
    case Event::Kind::kReset:
      return "reset";
    case Event::Kind::kPowerOff:
      return "power-off";
  }
  return "?";
}

}  // namespace

EventLog::EventLog(std::vector<uint64_t> mpidrs)
    : mpidrs_(std::move(mpidrs)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (size_t i = 0; i < mpidrs_.size() + 1; ++i) {
    rings_.push_back(std::make_unique<EventRing>(wake_.get()));
  }
}

absl::Status EventLog::WriteTo(const std::string& path, bool append) {
  path_ = path;
  file_ = UniqueFd(open(
      path.c_str(),
      O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666));
  return file_.valid() ? absl::OkStatus() : ErrnoStatus(path);
}

// By hand, for there may be millions: every value is a number or a name of
// ours, nothing needs escaping.
std::string EventLog::Line(const Event& event) const {
  std::string line = absl::StrFormat(
      R"({"ns":%d,"vcpu":%d,"mpidr":"0x%x","event":"%s")", event.ns, event.vcpu,
      mpidrs_[event.vcpu], Name(event.kind));
  if (event.kind == Event::Kind::kPsci) {
    absl::StrAppendFormat(&line, R"(,"call":"%s","function":"%#x")",
                          psci::FunctionName(event.function), event.function);
  }
  if (event.arguments > 0) {
    absl::StrAppend(&line, R"(,"args":[)");
    for (unsigned i = 0; i < event.arguments; ++i) {
      absl::StrAppendFormat(&line, R"(%s"0x%x")", i == 0 ? "" : ",",
                            event.args[i]);
    }
    absl::StrAppend(&line, "]");
  }
  if (event.kind == Event::Kind::kPsci) {
    absl::StrAppend(&line, R"(,"result":)", event.result);
  }
  if (event.firmware_ns != 0) {
    absl::StrAppend(&line, R"(,"firmware_ns":)", event.firmware_ns);
  }
  absl::StrAppend(&line, "}\n");
  return line;
}

absl::Status EventLog::Drain(int64_t until_ns,
                             const std::function<void(const Event&)>& each) {
  eventfd_t ignored;
  eventfd_read(wake_.get(), &ignored);
  for (const auto& ring : rings_) ring->Drain(pending_);
  std::stable_sort(pending_.begin(), pending_.end(),
                   [](const Event& a, const Event& b) { return a.ns < b.ns; });
  const auto end = std::find_if(
      pending_.begin(), pending_.end(),
      [until_ns](const Event& event) { return event.ns >= until_ns; });
  for (auto event = pending_.begin(); event != end; ++event) {
    each(*event);
    if (!file_.valid()) continue;
    if (lines_ < kMaxLines) {
      ++lines_;
      absl::StrAppend(&unwritten_, Line(*event));
    } else {
      ++lost_lines_;
    }
  }
  pending_.erase(pending_.begin(), end);
  return Flush();
}

absl::Status EventLog::Flush() {
  while (!unwritten_.empty()) {
    const ssize_t written =
        write(file_.get(), unwritten_.data(), unwritten_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(path_);
    unwritten_.erase(0, static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

uint64_t EventLog::lost() const {
  uint64_t lost = lost_lines_;
  for (const auto& ring : rings_) lost += ring->lost();
  return lost;
}

}  // namespace vmm
