// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/console_watch.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace vmm {

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
  lines_.push_back(std::move(line_));
  line_.clear();
  if (lines_.size() > kLines) lines_.pop_front();
}

std::vector<std::string> ConsoleWatch::LastLines() const {
  std::vector<std::string> lines(lines_.begin(), lines_.end());
  if (!line_.empty()) lines.push_back(line_);
  return lines;
}

}  // namespace vmm
