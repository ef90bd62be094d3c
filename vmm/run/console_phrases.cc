// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/console_phrases.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace vmm {
namespace {

struct Known {
  Phrase phrase;
  absl::string_view text;  // Begins at the beginning of a word.
  absl::string_view then;  // Somewhere after it, if it is not empty.
};

constexpr Phrase kBad = Phrase::kComplaint;

// The worst first. What stands behind each is where Linux prints it.
constexpr Known kKnown[] = {
    {Phrase::kPanicEnd, "end Kernel panic - not syncing", ""},  // panic()
    {Phrase::kPanic, "Kernel panic - not syncing", ""},         // panic()
    {kBad, "WARNING: CPU: ", ""},        // kernel/panic.c, __warn() to 6.18
    {kBad, "WARNING: ", ", CPU#"},       // kernel/panic.c, __warn() since 6.19
    {kBad, "WARNING: possible ", ""},    // kernel/locking/lockdep.c
    {kBad, "WARNING: suspicious ", ""},  // lockdep_rcu_suspicious()
    {kBad, "WARNING: inconsistent ", ""},  // print_usage_bug()
    {kBad, "WARNING: bad unlock ", ""},    // print_unlock_imbalance_bug()
    {kBad, "WARNING: held lock ", ""},     // print_freed_lock_bug()
    {kBad, "WARNING: lock held ", ""},     // lockdep_sys_exit()
    {kBad, "BUG: ", ""},             // Many, among them KASAN, KFENCE, lockups
    {kBad, "BUG ", "ainted"},        // mm/slub.c, slab_bug()
    {kBad, "kernel BUG at ", ""},    // lib/bug.c, report_bug()
    {kBad, "Internal error: ", ""},  // arch/arm64/kernel/traps.c, __die()
    {kBad, "Unable to handle kernel ", ""},           // arch/arm64/mm/fault.c
    {kBad, "SError Interrupt on CPU", ""},            // arm64_serror_panic()
    {kBad, "Bad mode in ", ""},                       // bad_mode(), to 5.12
    {kBad, "Unhandled ", " exception on CPU"},        // __panic_unhandled()
    {kBad, "Insufficient stack space ", ""},          // panic_bad_stack()
    {kBad, "UBSAN: ", ""},                            // lib/ubsan.c
    {kBad, "INFO: rcu_", " stall"},                   // kernel/rcu/tree_stall.h
    {kBad, "detected stalls on CPUs", ""},            // The same
    {kBad, "detected expedited stalls on CPUs", ""},  // kernel/rcu/tree_exp.h
    {kBad, "INFO: task ", " blocked for more than "},  // kernel/hung_task.c
    {kBad, "soft lockup - CPU", ""},                   // kernel/watchdog.c
    {kBad, "hard LOCKUP on cpu", ""},                  // kernel/watchdog.c
    {kBad, "probably corrupted", ""},  // drivers/irqchip/irq-gic-v3-its.c
    {kBad, "new suspected memory leaks", ""},  // mm/kmemleak.c
    // CPUs that do not come or do not go: arch/arm64/kernel/smp.c, psci.c
    {kBad, "failed to boot CPU", ""},
    {kBad, "failed to come online", ""},
    {kBad, "failed in unknown state", ""},
    {kBad, "is stuck in kernel", ""},
    {kBad, "died during early boot", ""},
    {kBad, "cpu didn't die", ""},
    {kBad, "may not have shut down cleanly", ""},
    {kBad, "failed to stop secondary CPUs", ""},
};

// The whole of what kernel_halt() prints, kernel/reboot.c.
constexpr absl::string_view kHalted = "reboot: System halted";

bool IsInWord(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Returns where it stands at the beginning of a word, or npos.
size_t FindWord(absl::string_view line, absl::string_view text) {
  size_t at = line.find(text);
  while (at != line.npos && at > 0 && IsInWord(line[at - 1])) {
    at = line.find(text, at + 1);
  }
  return at;
}

// "[    1.234567][   T1] " is printk()'s.
absl::string_view WithoutStamp(absl::string_view line) {
  while (absl::StartsWith(line, "[")) {
    const size_t end = line.find(']');
    if (end == line.npos) break;
    line = absl::StripLeadingAsciiWhitespace(line.substr(end + 1));
  }
  return line;
}

}  // namespace

std::optional<FoundPhrase> FindPhrase(absl::string_view line) {
  for (const Known& known : kKnown) {
    const size_t at = FindWord(line, known.text);
    if (at != line.npos &&
        absl::StrContains(line.substr(at + known.text.size()), known.then)) {
      return FoundPhrase{known.phrase, at};
    }
  }
  if (WithoutStamp(line) == kHalted) return FoundPhrase{Phrase::kHalted, 0};
  return std::nullopt;
}

}  // namespace vmm
