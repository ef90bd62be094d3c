// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_command.h"

#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"
#include "vmm/cli/blame.h"
#include "vmm/cli/guest_command.h"
#include "vmm/cli/guest_root.h"
#include "vmm/cli/output.h"
#include "vmm/cli/quantities.h"
#include "vmm/machine/plan.h"
#include "vmm/run/results.h"

namespace vmm {
namespace {

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

// Turns an error about what the user asks for, whatever kind it is, into one
// that blames the user.
template <typename T>
absl::StatusOr<T> AsAsked(absl::StatusOr<T> result) {
  if (result.ok()) return result;
  return absl::InvalidArgumentError(result.status().message());
}

absl::StatusOr<MachineSpec> SpecOf(const RunOptions& options) {
  if (options.kernel.empty()) {
    return absl::InvalidArgumentError(
        "which kernel? vmm run [options] KERNEL; see vmm run --help");
  }
  MachineSpec spec;
  ASSIGN_OR_RETURN(const Content file,
                   Content::Open(options.kernel, kMaxKernelBytes));
  ASSIGN_OR_RETURN(
      spec.kernel,
      AsAsked(options.raw
                  ? ParseRaw(options.kernel, file)
                  : ParseKernel(options.kernel, file,
                                std::min(kMaxKernelBytes, options.memory))));
  if (!spec.kernel.note.empty()) LogInfo(spec.kernel.note);
  spec.command_line = absl::StrJoin(options.params, " ");
  RETURN_IF_ERROR(AddRoot(options, spec));
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
  RETURN_IF_ERROR(AddCommand(options, spec));
  return spec;
}

absl::StatusOr<absl::Duration> DurationOf(absl::string_view option,
                                          const std::string& text) {
  auto duration = ParseDuration(text);
  if (duration.ok()) return duration;
  return absl::InvalidArgumentError(
      absl::StrCat(option, " ", duration.status().message()));
}

absl::StatusOr<std::shared_ptr<const Symbols>> SymbolsOf(
    const RunOptions& options) {
  if (options.symbols.empty()) return nullptr;
  // Debug information may make a vmlinux larger than any kernel.
  constexpr uint64_t kMaxSymbolsBytes = uint64_t{8} << 30;
  ASSIGN_OR_RETURN(const Content file,
                   Content::Open(options.symbols, kMaxSymbolsBytes));
  ASSIGN_OR_RETURN(Symbols symbols, Symbols::Read(options.symbols, file));
  return std::make_shared<const Symbols>(std::move(symbols));
}

bool AreOneFile(const std::string& one, const std::string& other) {
  struct stat a = {};
  struct stat b = {};
  if (stat(one.c_str(), &a) != 0 || stat(other.c_str(), &b) != 0) {
    return one == other;
  }
  // What is no regular file may be shared.
  return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

absl::Status CheckOutputs(const RunOptions& options) {
  const std::pair<absl::string_view, const std::string&> outputs[] = {
      {"--events", options.events},
      {"--results", options.results},
      {"--dump-dtb", options.dump_dtb}};
  for (const auto& one : outputs) {
    for (const auto& other : outputs) {
      if (&one >= &other || one.second.empty() || other.second.empty() ||
          !AreOneFile(one.second, other.second)) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat(one.first, " and ", other.first,
                       " are one file, and each replaces it: ", one.second));
    }
  }
  return absl::OkStatus();
}

// More RAM than the host has: Linux grants it, and may kill for it later.
void WarnOfMemory(uint64_t bytes) {
  struct sysinfo host = {};
  if (sysinfo(&host) != 0) return;
  const uint64_t has = uint64_t{host.totalram} * host.mem_unit;
  if (bytes <= has) return;
  LogInfo(absl::StrFormat(
      "the guest has %d MiB of RAM and this host %d MiB: it may kill the run "
      "once the guest uses them",
      bytes >> 20, has >> 20));
}

absl::StatusOr<SessionOptions> SessionOf(const RunOptions& options) {
  SessionOptions session;
  ASSIGN_OR_RETURN(session.timeout, DurationOf("--timeout", options.timeout));
  ASSIGN_OR_RETURN(session.panic_grace,
                   DurationOf("--panic-grace", options.panic_grace));
  session.reboot_on_reset = options.on_reset == "reboot";
  session.reset_is_end = options.on_reset == "ok";
  session.events_path = options.events;
  session.dump_dtb_path = options.dump_dtb;
  session.expected_kexecs =
      options.expect_kexecs ? options.expect_kexecs : options.kexec;
  session.command = !options.command.empty();
  session.command_has_terminal = CommandHasTerminal(options);
  session.strict = options.strict;
  session.allowed_splats = options.allow_splats;
  session.verbose = options.verbose;
  session.whole_result = !options.results.empty();
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
    case absl::StatusCode::kDataLoss:
      return ExitCode::kHostCannot;
    case absl::StatusCode::kAborted:
      return ExitCode::kOutputLost;
    default:
      return ExitCode::kVmmBug;
  }
}

absl::Status WriteResults(const RunOptions& options, const MachineSpec& spec,
                          const SessionResult& result) {
  if (options.results.empty()) return absl::OkStatus();
  const nlohmann::json results = ResultsJson(
      {.config = ToJson(options), .arm = options.arm, .label = options.label},
      spec, result);
  return WriteFile(options.results, JsonText(results));
}

absl::StatusOr<nlohmann::json> PlanJson(const RunOptions& options) {
  ASSIGN_OR_RETURN(const MachineSpec spec, SpecOf(options));
  ASSIGN_OR_RETURN(const MachinePlan plan, AsAsked(Plan(spec)));
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
  const ExitCode printed = Print(JsonText(config));
  return status.ok() ? printed : Blame(status);
}

// Whether CPUs left for a kexec and none of them parked.
bool NobodyParked(const SessionResult& result) {
  uint32_t left = 0;
  for (const Boot& boot : result.boots) {
    if (boot.doors.park > 0) return false;
    left += boot.doors.cpu_off;
  }
  return left > 0;
}

}  // namespace

std::vector<std::string> Caveats(const RunOptions& options,
                                 const HostLabel& label,
                                 const SessionResult& result) {
  std::vector<std::string> lines;
  if (options.psci == "kvm") {
    lines.emplace_back(
        "PSCI was answered by KVM: the VMM saw only the guest's marks, so the "
        "phases between them are not known");
  }
  // Who did not ask for pages knows that the kernel takes none.
  if (!options.park.empty() && result.park && NobodyParked(result)) {
    lines.push_back(absl::StrFormat(
        "park pages were offered at %#x and no CPU took them: this kernel does "
        "not know cpuparkmem=, or has fallen back to CPU_OFF, as the proposal "
        "does with NR_CPUS above 512 or a no-map that takes memory away",
        result.park->pages.base().value()));
  }
  if (label.insisted) {
    lines.push_back(absl::StrCat("label ", label.name, ": ", label.reason));
  } else if (label.name == kLabelKvmOnTcg) {
    lines.emplace_back(
        "label kvm-on-tcg: an emulated host in wall-clock time; counts and "
        "verdicts mean something, times do not");
  } else if (label.name == kLabelKvmOnVm) {
    lines.push_back(
        absl::StrCat("label kvm-on-vm: times include those of the "
                     "hypervisor below this host; ",
                     label.reason));
  }
  return lines;
}

ExitCode RunCommand(const RunOptions& options, SessionRunner run_session) {
  auto session = SessionOf(options);
  if (!session.ok()) return Blame(session.status());
  if (options.dry_run) return DryRun(options);
  if (const absl::Status outputs = CheckOutputs(options); !outputs.ok()) {
    return Blame(outputs);
  }
  auto spec = SpecOf(options);
  if (!spec.ok()) return Blame(spec.status());
  const auto plan = AsAsked(Plan(*spec));
  if (!plan.ok()) return Blame(plan.status());
  const auto symbols = SymbolsOf(options);
  if (!symbols.ok()) return Blame(symbols.status());
  session->symbols = *symbols;
  if (!options.results.empty()) {
    const absl::Status writable = CheckWritable(options.results);
    if (!writable.ok()) return Blame(writable);
  }
  WarnOfMemory(spec->memory_bytes);
  const auto result = run_session(*spec, *plan, *session);
  if (!result.ok()) {
    LogError(result.status().message());
    return ExitCodeOf(result.status(), options);
  }
  ExitCode code = result->conclusion.code;
  if (const absl::Status written = WriteResults(options, *spec, *result);
      !written.ok()) {
    LogError(written.message());
    if (code == ExitCode::kOk) code = ExitCode::kOutputLost;
  }
  for (const std::string& line :
       Caveats(options, LabelOf(ReadHostSigns(), options.label), *result)) {
    LogInfo(line);
  }
  const Conclusion& conclusion = result->conclusion;
  if (conclusion.code != ExitCode::kOk && !conclusion.IsCommands()) {
    LogError(absl::StrCat(conclusion.sentence, " [", conclusion.id, "]"));
  }
  if (code == ExitCode::kOk && !LogStatus().ok()) code = ExitCode::kOutputLost;
  return code;
}

}  // namespace vmm
