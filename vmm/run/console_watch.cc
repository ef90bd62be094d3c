// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/console_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "vmm/run/console_phrases.h"

namespace vmm {
namespace {

// A line without an end is judged each time that so much of it has come,
constexpr size_t kJudgeAt = 2048;
// together with so much of what was judged before: no phrase is longer.
constexpr size_t kOverlap = 256;

}  // namespace

void ConsoleWatch::Add(absl::string_view output) {
  for (const char c : output) {
    if (c == '\n') {
      EndLine();
    } else if (c == '\r') {
      Judge();
      text_.clear();
      returned_ = true;
    } else if (absl::ascii_isprint(static_cast<unsigned char>(c))) {
      if (std::exchange(returned_, false)) line_.clear();
      printed_ = true;
      if (line_.size() < kLineLength) line_.push_back(c);
      text_.push_back(c);
      if (text_.size() < kJudgeAt) continue;
      Judge();
      text_.erase(0, text_.size() - kOverlap);
    }
  }
}

void ConsoleWatch::EndLine() {
  Judge();
  text_.clear();
  returned_ = false;
  if (line_.empty()) return;
  lines_.push_back(std::exchange(line_, {}));
  if (lines_.size() > kLines) lines_.pop_front();
}

void ConsoleWatch::Judge() {
  if (text_.empty()) return;
  halted_ = false;
  const auto found = FindPhrase(text_);
  if (!found) return;
  // Of a long line, what says it.
  const size_t from = found->at < kLineLength / 2 ? 0 : found->at;
  const std::string shown = text_.substr(from, kLineLength);
  switch (found->phrase) {
    case Phrase::kPanicEnd:
      panic_ended_ = true;
      [[fallthrough]];
    case Phrase::kPanic:
      if (panic_.empty()) panic_ = shown;
      return;
    case Phrase::kComplaint:
      if (splat_.empty() && std::none_of(allowed_.begin(), allowed_.end(),
                                         [this](const std::string& allowed) {
                                           return absl::StrContains(text_,
                                                                    allowed);
                                         })) {
        splat_ = shown;
      }
      return;
    case Phrase::kHalted:
      halted_ = true;
      return;
  }
}

void ConsoleWatch::ForgetPanic() {
  if (!panic_.empty()) splat_.clear();
  RetractPanic();
}

void ConsoleWatch::RetractPanic() {
  panic_.clear();
  panic_ended_ = false;
}

std::vector<std::string> ConsoleWatch::LastLines() const {
  std::vector<std::string> lines(lines_.begin(), lines_.end());
  if (!line_.empty()) lines.push_back(line_);
  return lines;
}

}  // namespace vmm
