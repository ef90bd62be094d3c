// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CORE_CONSOLE_WATCH_H_
#define PARKVMM_VMM_CORE_CONSOLE_WATCH_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vmm {

// Reads the guest's console along: keeps its last lines for a post mortem and
// notices a kernel panic. Bounded, whatever the guest prints. One thread.
class ConsoleWatch {
 public:
  static constexpr size_t kLines = 20;
  static constexpr size_t kLineLength = 200;  // The rest of a line is cut.

  void Add(absl::string_view output);

  // The line that said "Kernel panic", empty if none did.
  const std::string& panic() const { return panic_; }
  // A new kernel runs (a crash kernel, after a panic): start over.
  void ForgetPanic() { panic_.clear(); }
  // Oldest first, control characters removed: safe to print.
  std::vector<std::string> LastLines() const;

 private:
  void EndLine();

  std::deque<std::string> lines_;
  std::string line_;
  std::string panic_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_CORE_CONSOLE_WATCH_H_
