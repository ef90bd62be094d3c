// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_TERMINAL_H_
#define PARKVMM_VMM_RUN_TERMINAL_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace vmm {

// Returns whether `input` may be read: a background job that read its terminal
// would be stopped for it.
bool IsForUs(int input);

// Puts a terminal that a RawTerminal changed back. May be called by a signal
// handler.
void RestoreTerminal();

// Puts the terminal `fd`, if it is one and ours, into raw mode so that every
// key goes to the guest, and puts it back on every way out: destruction,
// exit(), and fatal signals. One at a time.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  bool active() const { return active_; }

 private:
  bool active_ = false;
};

// Splits what is typed into bytes for the guest and commands for us: ctrl-a x
// ends the run, ctrl-a h asks for help, ctrl-a ctrl-a is a ctrl-a.
class EscapeKeys {
 public:
  struct Result {
    std::vector<uint8_t> to_guest;
    bool quit = false;
    bool help = false;
  };
  Result Feed(absl::Span<const uint8_t> typed);

 private:
  bool escaped_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_TERMINAL_H_
