// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CONSOLE_WATCH_H_
#define PARKVMM_VMM_RUN_CONSOLE_WATCH_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace vmm {

// Reads the guest's console along: keeps its last lines for a post mortem and
// notices a kernel panic and lesser complaints (warnings, oopses, stalls).
// Bounded, whatever the guest prints. One thread.
class ConsoleWatch {
 public:
  static constexpr size_t kLines = 20;
  static constexpr size_t kLineLength = 200;  // The rest of a line is cut.

  // `allowed`: complaints that contain one of these are none.
  explicit ConsoleWatch(std::vector<std::string> allowed = {})
      : allowed_(std::move(allowed)) {}

  void Add(absl::string_view output);
  // Nothing comes any more: a last line without a newline is one, too.
  void End() { EndLine(); }

  // The line that said "Kernel panic", empty if none did.
  const std::string& panic() const { return panic_; }
  // The first line with which the kernel complained, empty if it did not.
  const std::string& splat() const { return splat_; }
  // A crash kernel runs: what led to it is over.
  void ForgetPanic();
  // Oldest first, control characters removed: safe to print.
  std::vector<std::string> LastLines() const;

 private:
  void EndLine();
  bool IsSplat() const;

  const std::vector<std::string> allowed_;

  std::deque<std::string> lines_;
  std::string line_;
  std::string panic_;
  std::string splat_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CONSOLE_WATCH_H_
