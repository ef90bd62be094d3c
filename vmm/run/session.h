// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_SESSION_H_
#define PARKVMM_VMM_RUN_SESSION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "vmm/machine/machine.h"
#include "vmm/measure/kexec_tracker.h"
#include "vmm/run/conclusion.h"

namespace vmm {

// How a machine is run, beside what it is.
struct SessionOptions {
  absl::Duration timeout = absl::Minutes(5);
  bool reboot_on_reset = false;
  std::string events_path;    // Empty: none.
  std::string dump_dtb_path;  // Empty: none.
  std::optional<uint32_t> expected_kexecs;
  bool strict = false;                      // A diagnosis fails the run.
  std::vector<std::string> allowed_splats;  // ConsoleWatch's.
  bool verbose = false;
};

// What came of it.
struct SessionResult {
  Conclusion conclusion;
  StopReason stop;
  std::vector<Boot> boots;
  uint32_t resets = 0;  // Followed by a reboot (reboot_on_reset).
  std::vector<uint64_t> mpidrs;
  std::vector<uint8_t> dtb;
  GicVersion gic = GicVersion::kV3;
  GuestMistakes mistakes;
  std::optional<ParkPlacement> park;
  std::optional<SpinTotals> spinning;
  std::vector<Diagnosis> diagnoses;  // Of the last machine, after a reboot.
  uint64_t lost_events = 0;
};

// Runs the machine that `plan` describes, Plan(spec), to its end on the calling
// thread: guest console to stdout, stdin to the guest, a live line per kexec
// and everything else on stderr. Takes SIGINT, SIGTERM and SIGHUP for itself
// while it lasts. Never waits past the timeout. Errors as Machine::Create()'s,
// and kInvalidArgument for output files that cannot be written.
absl::StatusOr<SessionResult> RunSession(const MachineSpec& spec,
                                         const MachinePlan& plan,
                                         const SessionOptions& options);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_SESSION_H_
