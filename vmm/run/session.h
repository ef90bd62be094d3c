// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_SESSION_H_
#define PARKVMM_VMM_RUN_SESSION_H_

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vmm/base/event_loop.h"
#include "vmm/machine/machine_control.h"
#include "vmm/machine/machine_spec.h"
#include "vmm/machine/plan.h"
#include "vmm/measure/kexec_tally.h"
#include "vmm/measure/kexec_tracker.h"
#include "vmm/measure/report.h"
#include "vmm/run/conclusion.h"
#include "vmm/run/symbols.h"

namespace vmm {

// How a machine is run, beside what it is.
struct SessionOptions {
  absl::Duration timeout = absl::Minutes(5);
  // After a panic, for so long without a sign of life.
  absl::Duration panic_grace = absl::Seconds(5);
  bool reboot_on_reset = false;
  bool reset_is_end = false;  // Like a power-off.
  std::string events_path;    // Empty: none.
  std::string dump_dtb_path;  // Empty: none.
  std::optional<uint32_t> expected_kexecs;
  std::vector<Limit> limits;  // All boots have to be kept: whole_result.
  bool strict = false;        // A diagnosis fails the run.
  std::vector<std::string> allowed_splats;  // ConsoleWatch's.
  // Of the guest's kernel, for what is said of it; nullptr: not known.
  std::shared_ptr<const Symbols> symbols;
  bool verbose = false;
  Times times = Times::kShown;  // In the table.
  // The guest runs a command, over the link that its machine has; then the
  // process's streams are the command's. Its terminal is, too, if so asked.
  bool command = false;
  bool command_has_terminal = false;
  // The result has all boots, and what the machine starts with by its digests;
  // else only the boots that are judged.
  bool whole_result = false;
};

// What a session uses of the world; tests bring their own.
struct SessionDeps {
  // Makes the machine, and a new one for each reboot.
  std::function<absl::StatusOr<std::unique_ptr<MachineControl>>()> create;
  std::function<int64_t()> now_ns = EventLoop::MonotonicNs;
  int input = STDIN_FILENO;
  int output = STDOUT_FILENO;
  int error = STDERR_FILENO;  // The command's; for our own lines see log.h.
};

// What came of it, all machines of a run with reboots taken together.
struct SessionResult {
  Conclusion conclusion;
  StopReason stop;
  std::vector<Boot> boots;
  uint32_t other_kexecs = 0;  // Came up with all CPUs, and are not in `boots`.
  KexecTally kexecs;
  uint32_t resets = 0;  // Followed by a reboot (reboot_on_reset).
  std::vector<uint64_t> mpidrs;
  GuestDigests digests;  // Empty unless they were wanted.
  GicVersion gic = GicVersion::kV3;
  GuestMistakes mistakes;
  std::optional<ParkPlacement> park;
  std::optional<SpinTotals> spinning;
  std::vector<Diagnosis> diagnoses;
  // How a guest that failed was found, in lines that are safe to print.
  std::vector<std::string> post_mortem;
  uint64_t lost_events = 0;
};

// Runs a machine of `spec` to its end on the calling thread: guest console to
// the output, input to the guest, a live line per kexec and everything else on
// stderr. Takes SIGINT, SIGTERM and SIGHUP for itself while it lasts. Never
// waits past the timeout, but for a reader of the output, who has five seconds.
//
// Errors are those of `deps.create`, and of output files that cannot be opened:
// kInvalidArgument if another path would do, else kAborted. What goes wrong
// with them later is in the conclusion, and so is a device tree that was lost.
absl::StatusOr<SessionResult> RunSession(const MachineSpec& spec,
                                         const SessionOptions& options,
                                         const SessionDeps& deps);
// The same with Machine and the process's own stdin and stdout. `plan` is
// Plan(spec). Unless it boots again, nothing of kernel and initrd is kept: they
// are empty in `spec` then.
absl::StatusOr<SessionResult> RunKvmSession(MachineSpec& spec,
                                            const MachinePlan& plan,
                                            const SessionOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_SESSION_H_
