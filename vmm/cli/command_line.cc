// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/command_line.h"

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "vmm/base/log.h"
#include "vmm/cli/blame.h"
#include "vmm/cli/doctor_command.h"
#include "vmm/cli/run_command.h"
#include "vmm/cli/run_options.h"

namespace vmm {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 ok; 1 verdict missed; 2 usage; 64 guest panic; 65 boot or "
    "kexec timeout; 66 CPU lost or stuck; 67 unexpected reset or power-off; "
    "69 this host cannot; 70 VMM bug; 77 skipped; 124 timeout; 130 "
    "interrupted.";

}  // namespace

ExitCode RunCommandLine(int argc, const char* const* argv) {
  CLI::App app("Runs AArch64 guests under KVM and parks their CPUs.", "vmm");
  app.require_subcommand(1);
  app.footer(kExitCodes);  // Of the subcommands', too.

  RunOptions options;
  CLI::App& run = *app.add_subcommand("run", "Run a guest kernel.");
  DefineRunOptions(run, options);

  bool doctor_json = false;
  CLI::App& doctor =
      *app.add_subcommand("doctor", "Say what this host can do.");
  doctor.add_flag("--json", doctor_json, "as JSON");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help);
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    LogError(absl::StrCat(error.what(), "; see vmm ",
                          run.parsed() ? "run " : "", "--help"));
    return ExitCode::kUsage;
  }
  if (doctor.parsed()) return DoctorCommand(ExamineHost(), doctor_json);
  if (const absl::Status applied = ApplyConfigFile(run, options);
      !applied.ok()) {
    return Blame(applied);
  }
  return RunCommand(options);
}

}  // namespace vmm
