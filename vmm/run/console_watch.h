// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CONSOLE_WATCH_H_
#define PARKVMM_VMM_RUN_CONSOLE_WATCH_H_

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace vmm {

// Reads the guest's console along: keeps its last lines for a post mortem and
// notices a kernel's panic, its halt, and lesser complaints (console_phrases.h
// has them all). Bounded, whatever the guest prints. One thread.
class ConsoleWatch {
 public:
  static constexpr size_t kLines = 20;
  static constexpr size_t kLineLength = 200;  // Of what is kept of a line.

  // `allowed`: complaints that contain one of these are none.
  explicit ConsoleWatch(std::vector<std::string> allowed = {})
      : allowed_(std::move(allowed)) {}

  // A carriage return ends a line, too; on the screen the next overwrites it.
  void Add(absl::string_view output);
  // Nothing comes any more: a last line without a newline is one, too.
  void End() { EndLine(); }

  // Whether a printable character came.
  bool printed() const { return printed_; }
  // The line that said "Kernel panic", empty if none did.
  const std::string& panic() const { return panic_; }
  // Whether the kernel has said all that it says of its panic.
  bool panic_ended() const { return panic_ended_; }
  // The first line with which the kernel complained, empty if it did not.
  const std::string& splat() const { return splat_; }
  // Whether the last line said that the kernel has halted.
  bool halted() const { return halted_; }
  // A crash kernel runs: what led to it is over.
  void ForgetPanic();
  // It was no panic: the guest lives on.
  void RetractPanic();
  // Oldest first, control characters removed: safe to print.
  std::vector<std::string> LastLines() const;

 private:
  void EndLine();
  void Judge();

  const std::vector<std::string> allowed_;

  std::deque<std::string> lines_;
  std::string line_;  // Its beginning.
  std::string text_;  // Of the line, what has not been judged, and some before.
  bool returned_ = false;  // By a carriage return.
  bool printed_ = false;
  std::string panic_;
  bool panic_ended_ = false;
  std::string splat_;
  bool halted_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CONSOLE_WATCH_H_
