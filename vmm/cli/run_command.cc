// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_command.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"
#include "vmm/kvm/host_label.h"
#include "vmm/machine/plan.h"
#include "vmm/run/results.h"

namespace vmm {
namespace {

constexpr uint64_t kMaxInitrdBytes = uint64_t{8} << 30;

absl::StatusOr<GuestAddress> AddressOf(const std::string& text) {
  uint64_t value = 0;
  const bool hex = absl::StartsWithIgnoreCase(text, "0x");
  if (hex ? absl::SimpleHexAtoi(text, &value)
          : absl::SimpleAtoi(text, &value)) {
    return GuestAddress(value);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--park-base ", text, " is no address; say 0x7f000000, for example"));
}

absl::StatusOr<MachineSpec> SpecOf(const RunOptions& options) {
  if (options.kernel.empty()) {
    return absl::InvalidArgumentError(
        "which kernel? vmm run [options] KERNEL; see vmm run --help");
  }
  MachineSpec spec;
  ASSIGN_OR_RETURN(std::vector<uint8_t> file,
                   ReadFile(options.kernel, kMaxKernelBytes));
  ASSIGN_OR_RETURN(spec.kernel,
                   options.raw ? ParseRaw(options.kernel, std::move(file))
                               : ParseKernel(options.kernel, std::move(file)));
  if (!options.initrd.empty()) {
    ASSIGN_OR_RETURN(spec.initrd, ReadFile(options.initrd, kMaxInitrdBytes));
  }
  spec.command_line = absl::StrJoin(options.params, " ");
  spec.memory_bytes = options.memory;
  spec.vcpus = options.cpus;
  spec.psci = options.psci == "kvm" ? PsciHandler::kKvm : PsciHandler::kVmm;
  ASSIGN_OR_RETURN(spec.firmware, psci::ParseFirmwareModel(options.firmware));
  const std::string park = ParkOf(options);
  spec.park = park == "host"    ? ParkMode::kHost
              : park == "guest" ? ParkMode::kGuest
                                : ParkMode::kOff;
  if (!options.park_base.empty()) {
    ASSIGN_OR_RETURN(spec.park_base, AddressOf(options.park_base));
  }
  spec.idle_states = options.idle_states;
  spec.seed = options.seed;
  return spec;
}

absl::StatusOr<SessionOptions> SessionOf(const RunOptions& options) {
  SessionOptions session;
  if (!absl::ParseDuration(options.timeout, &session.timeout) ||
      session.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout ", options.timeout,
                     " is no duration; say 90s, 5m or 1h30m"));
  }
  session.reboot_on_reset = options.on_reset == "reboot";
  session.events_path = options.events;
  session.dump_dtb_path = options.dump_dtb;
  session.expected_kexecs = options.expect_kexecs;
  session.strict = options.strict;
  session.allowed_splats = options.allow_splats;
  session.verbose = options.verbose;
  return session;
}

ExitCode ExitCodeOf(const absl::Status& status, const RunOptions& options) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return options.skip_if_no_kvm ? ExitCode::kSkipped
                                    : ExitCode::kHostCannot;
    case absl::StatusCode::kInvalidArgument:
      return ExitCode::kUsage;
    case absl::StatusCode::kResourceExhausted:
      return ExitCode::kHostCannot;
    default:
      return ExitCode::kVmmBug;
  }
}

// What the reader of the table must know.
void Caveat(const RunOptions& options) {
  if (options.psci == "kvm") {
    LogInfo(
        "PSCI was answered by KVM: the VMM saw only the guest's marks, so the "
        "phases between them are not known");
  }
  const HostLabel label = LabelOf(ReadHostSigns(), options.label);
  if (label.insisted) {
    LogInfo(absl::StrCat("label ", label.name, ": ", label.reason));
  } else if (label.name == kLabelKvmOnTcg) {
    LogInfo(
        "label kvm-on-tcg: an emulated host in wall-clock time; counts and "
        "verdicts mean something, times do not");
  } else if (label.name == kLabelKvmOnVm) {
    LogInfo(
        absl::StrCat("label kvm-on-vm: times include those of the "
                     "hypervisor below this host; ",
                     label.reason));
  }
}

ExitCode Usage(const absl::Status& status) {
  LogError(status.message());
  return ExitCode::kUsage;
}

absl::StatusOr<nlohmann::json> PlanJson(const RunOptions& options) {
  ASSIGN_OR_RETURN(const MachineSpec spec, SpecOf(options));
  ASSIGN_OR_RETURN(const MachinePlan plan, Plan(spec));
  return ToJson(plan);
}

// Prints the configuration, with the machine's plan if its kernel is at hand.
// Fails where the run would, once the kernel can be read.
ExitCode DryRun(const RunOptions& options) {
  nlohmann::json config = ToJson(options);
  absl::Status status;
  if (access(options.kernel.c_str(), R_OK) == 0) {
    const auto plan = PlanJson(options);
    status = plan.status();
    if (plan.ok()) config["plan"] = *plan;
  }
  std::cout << config.dump(2) << "\n" << std::flush;
  return status.ok() ? ExitCode::kOk : Usage(status);
}

}  // namespace

ExitCode RunCommand(const RunOptions& options) {
  const auto session = SessionOf(options);
  if (!session.ok()) return Usage(session.status());
  if (options.dry_run) return DryRun(options);
  const auto spec = SpecOf(options);
  if (!spec.ok()) return Usage(spec.status());
  const auto plan = Plan(*spec);
  if (!plan.ok()) return Usage(plan.status());
  if (!options.results.empty()) {
    const absl::Status writable = CheckWritable(options.results);
    if (!writable.ok()) return Usage(writable);
  }
  const auto result = RunSession(*spec, *plan, *session);
  if (!result.ok()) {
    LogError(result.status().message());
    return ExitCodeOf(result.status(), options);
  }
  if (!options.results.empty()) {
    const nlohmann::json results = ResultsJson(
        {.config = ToJson(options), .arm = options.arm, .label = options.label},
        *spec, *result);
    const absl::Status written =
        WriteFile(options.results, absl::StrCat(results.dump(2), "\n"));
    if (!written.ok()) return Usage(written);
  }
  Caveat(options);
  const Conclusion& conclusion = result->conclusion;
  if (conclusion.code != ExitCode::kOk) {
    LogError(absl::StrCat(conclusion.sentence, " [", conclusion.id, "]"));
  }
  return conclusion.code;
}

}  // namespace vmm
