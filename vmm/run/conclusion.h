// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CONCLUSION_H_
#define PARKVMM_VMM_RUN_CONCLUSION_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "vmm/command/link.h"
#include "vmm/machine/exit_dispatcher.h"
#include "vmm/machine/stop.h"
#include "vmm/measure/kexec_tracker.h"
#include "vmm/park/diagnosis_log.h"
#include "vmm/run/exit_code.h"
#include "vmm/run/limits.h"

namespace vmm {

// What is known of the command that a guest ran.
struct CommandFacts {
  static std::optional<CommandFacts> Of(const CommandLink* link);

  uint32_t started = 0;
  std::optional<uint8_t> status;  // Nothing if it did not end.
  std::string broken;             // Why it could not be run.
};

// What is known of a run when it is over.
struct RunFacts {
  StopReason stop;
  std::string panic;  // The guest's panic line, if it had one.
  std::string splat;  // Its first complaint: a warning, an oops, a stall.
  bool saw_kernel = false;
  bool saw_console = false;  // It printed something.
  GuestMistakes mistakes;
  uint32_t page_size = 0;  // That its kernel was built for; 0: not known.
  bool in_kexec = false;
  absl::Span<const Boot> boots;
  uint32_t other_kexecs = 0;  // That came up, and are not in `boots`.
  std::optional<uint32_t> expected_kexecs;
  absl::Span<const Limit> limits;  // That each kexec has to keep.
  absl::Span<const Diagnosis> diagnoses;
  std::optional<CommandFacts> command;
  std::string lost_output;    // Why something that we write is not whole.
  bool reset_is_end = false;  // As good as a power-off.
  bool strict = false;        // Any diagnosis is a failure.
  bool raw = false;  // No kernel: it may start as many CPUs as it likes.
};

struct Conclusion {
  // Whether it helps to see what the guest last said.
  bool NeedsPostMortem() const;
  // Whether a command says by itself what went wrong, and how it ended.
  bool IsCommands() const;
  // "the guest panicked: ... [guest-panic]".
  std::string Line() const;

  ExitCode code = ExitCode::kOk;  // Or a command's own status.
  std::string id;                 // Stable, for scripts: "guest-panic".
  std::string sentence;           // For people.
};

// Returns what CPUs are missing of a boot that somebody wanted; nothing if none
// is. A crash kernel chooses how many it wants, and so does the first kernel:
// only those that it tried to start count there, and none if the guest is
// `raw`.
std::optional<Conclusion> JudgeBoot(const Boot& boot, bool raw);

// Returns which limit a kexec did not keep, and by how much; nothing if it kept
// all.
std::optional<Conclusion> JudgeTimes(const Boot& boot,
                                     absl::Span<const Limit> limits);

// Returns who failed, and why: the first of an ordered list of rules that
// applies. Pure.
Conclusion Conclude(const RunFacts& facts);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CONCLUSION_H_
