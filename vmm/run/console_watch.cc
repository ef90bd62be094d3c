// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/console_watch.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace vmm {
namespace {

// How Linux begins a line that nobody wants to see.
constexpr absl::string_view kSplats[] = {
    "WARNING: CPU: ",
    "WARNING: possible ",
    "WARNING: suspicious ",
    "WARNING: inconsistent ",
    "BUG: ",
    "kernel BUG at ",
    "Internal error: ",
    "Unable to handle kernel ",
    "UBSAN: ",
    "rcu: INFO: rcu_",
    "detected stalls on CPUs",
    "soft lockup - CPU",
    "hard LOCKUP on cpu",
    "blocked for more than ",
    "probably corrupted",
    "failed to come online",
};

}  // namespace

void ConsoleWatch::Add(absl::string_view output) {
  for (const char c : output) {
    if (c == '\n') {
      EndLine();
    } else if (line_.size() < kLineLength &&
               absl::ascii_isprint(static_cast<unsigned char>(c))) {
      line_.push_back(c);
    }
  }
}

void ConsoleWatch::EndLine() {
  if (line_.empty()) return;
  if (panic_.empty() &&
      absl::StrContains(line_, "Kernel panic - not syncing")) {
    panic_ = line_;
  }
  if (splat_.empty() && IsSplat()) splat_ = line_;
  lines_.push_back(std::exchange(line_, {}));
  if (lines_.size() > kLines) lines_.pop_front();
}

bool ConsoleWatch::IsSplat() const {
  const auto contains = [this](absl::string_view text) {
    return absl::StrContains(line_, text);
  };
  return std::any_of(std::begin(kSplats), std::end(kSplats), contains) &&
         std::none_of(allowed_.begin(), allowed_.end(), contains);
}

void ConsoleWatch::ForgetPanic() {
  if (panic_.empty()) return;
  panic_.clear();
  splat_.clear();
}

std::vector<std::string> ConsoleWatch::LastLines() const {
  std::vector<std::string> lines(lines_.begin(), lines_.end());
  if (!line_.empty()) lines.push_back(line_);
  return lines;
}

}  // namespace vmm
