// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CONSOLE_PHRASES_H_
#define PARKVMM_VMM_RUN_CONSOLE_PHRASES_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace vmm {

// What a line of a kernel's console means. From Linux 5.10 to 7.3.
enum class Phrase {
  kPanic,      // It panics.
  kPanicEnd,   // It has said all that it says of its panic.
  kComplaint,  // Something is wrong: a warning, an oops, a stall.
  kHalted,     // It has halted as it was told.
};

struct FoundPhrase {
  Phrase phrase;
  size_t at;  // Where in the line it begins.
};

// Returns the worst that `line` says, or nothing.
std::optional<FoundPhrase> FindPhrase(absl::string_view line);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CONSOLE_PHRASES_H_
