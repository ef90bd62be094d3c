// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_command.h"

#include <sys/sysinfo.h>
#include <unistd.h>

#include <new>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"
#include "vmm/cli/bisect.h"
#include "vmm/cli/blame.h"
#include "vmm/cli/guest_command.h"
#include "vmm/cli/guest_root.h"
#include "vmm/cli/kernel_file.h"
#include "vmm/cli/output.h"
#include "vmm/cli/quantities.h"
#include "vmm/cli/run_outputs.h"
#include "vmm/machine/plan.h"

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
  ASSIGN_OR_RETURN(spec.kernel, ReadKernel(options, options.kernel));
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
  spec.park_no_map = options.park_node == "no-map";
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
  ASSIGN_OR_RETURN(session.limits, ParseLimits(options.max));
  session.whole_result = !options.results.empty() || !options.formats.empty() ||
                         !options.max.empty();
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

// How a run ended, and what that is to `git bisect run`.
struct End {
  explicit End(ExitCode exit_code)
      : code(exit_code), bisect(BisectCode(exit_code)) {}
  End(ExitCode exit_code, ExitCode bisect_code)
      : code(exit_code), bisect(bisect_code) {}

  ExitCode code;
  ExitCode bisect;
};

// Files that a commit's build may have left out, or left broken.
End BlameFiles(const absl::Status& error) {
  return {Blame(error), kBisectSkip};
}

End DidNotRun(const RunOptions& options, const std::string& label,
              const absl::Status& error) {
  LogError(error.message());
  const ExitCode code = ExitCodeOf(error, options);
  WriteThatItDidNotRun(options, label, error, code);
  return End(code);
}

absl::Status HostLacks(absl::string_view what) {
  return absl::ResourceExhaustedError(
      absl::StrCat("this host ran out of what the VMM needs: ", what));
}

// The standard library throws where it gets no memory or no thread. To a
// bisection, and in each format, that is the host's lack like any other.
absl::StatusOr<SessionResult> RunAsFarAsTheHostGoes(
    SessionRunner run_session, MachineSpec& spec, const MachinePlan& plan,
    const SessionOptions& session) try {
  return run_session(spec, plan, session);
} catch (const std::bad_alloc&) {
  return HostLacks("memory");
} catch (const std::system_error& error) {
  return HostLacks(absl::StrCat("a thread: ", error.what()));
}

End Run(const RunOptions& options, SessionRunner run_session,
        Confiner confine) {
  auto session = SessionOf(options);
  if (!session.ok()) return End(Blame(session.status()));
  if (options.dry_run) return End(DryRun(options));
  if (const absl::Status outputs = CheckOutputs(options); !outputs.ok()) {
    return End(Blame(outputs));
  }
  const auto sandbox = confine(options);
  if (!sandbox.ok()) return End(Blame(sandbox.status()));
  auto spec = SpecOf(options);
  if (!spec.ok()) return BlameFiles(spec.status());
  spec->sandbox = sandbox->get();
  const auto plan = AsAsked(Plan(*spec));
  if (!plan.ok()) return BlameFiles(plan.status());
  const auto symbols = SymbolsOf(options);
  if (!symbols.ok()) return BlameFiles(symbols.status());
  session->symbols = *symbols;
  WarnOfMemory(spec->memory_bytes);
  const auto label = LabelOf(ReadHostSigns(), options.label);
  if (!label.ok()) return DidNotRun(options, "", label.status());
  if (label->name == kLabelKvmOnTcg) session->times = Times::kHidden;
  if (session->times == Times::kHidden && !options.max.empty()) {
    return End(Blame(absl::InvalidArgumentError(
        "--max: times mean nothing under label kvm-on-tcg; run it in virtual "
        "time (--deterministic) or on hardware")));
  }
  const auto result =
      RunAsFarAsTheHostGoes(run_session, *spec, *plan, *session);
  if (!result.ok()) return DidNotRun(options, label->name, result.status());
  const RunLines lines = {.times = session->times,
                          .label = *label,
                          .expected_kexecs = session->expected_kexecs,
                          .limits = session->limits,
                          .summary = result->kexecs.Summary(
                              KexecsBegun(*result), session->expected_kexecs,
                              session->times, label->name)};
  ExitCode code = result->conclusion.code;
  const absl::Status written = WriteOutputs(options, *spec, *result, lines);
  if (!written.ok() && code == ExitCode::kOk) code = ExitCode::kOutputLost;
  for (const std::string& line : Caveats(options, *label, *result)) {
    LogInfo(line);
  }
  if (!lines.summary.empty()) LogPlain(lines.summary);
  const Conclusion& conclusion = result->conclusion;
  if (conclusion.code != ExitCode::kOk && !conclusion.IsCommands()) {
    LogError(conclusion.Line());
  }
  if (code == ExitCode::kOk && !LogStatus().ok()) code = ExitCode::kOutputLost;
  if (conclusion.code == ExitCode::kOk) return End(code);
  return {code, BisectCode(conclusion)};
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
        "does with NR_CPUS above 512 or a no-map that takes memory away "
        "(--park-node reserved)",
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

ExitCode RunCommand(const RunOptions& options, SessionRunner run_session,
                    Confiner confine) {
  const End end = Run(options, run_session, confine);
  return options.bisect ? end.bisect : end.code;
}

}  // namespace vmm
