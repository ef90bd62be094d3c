// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/command_line.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vmm/base/log.h"
#include "vmm/cli/bisect.h"
#include "vmm/cli/blame.h"
#include "vmm/cli/doctor_command.h"
#include "vmm/cli/output.h"
#include "vmm/cli/run_options.h"
#include "vmm/run/version.h"

namespace vmm {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 ok; 1 verdict missed; 2 usage; 64 guest panic; 65 boot or "
    "kexec timeout; 66 CPU lost or stuck; 67 unexpected reset or power-off; "
    "69 this host cannot; 70 VMM bug; 72 sandbox; 74 output lost; 77 skipped; "
    "124 timeout; 130 interrupted. After `-- COMMAND`: its own, 126 and 127 if "
    "the guest cannot run it.";

// How many letters have to be changed, added or left out.
size_t Distance(absl::string_view from, absl::string_view to) {
  std::vector<size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t above = row[j];
      const size_t changed = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, changed});
      diagonal = above;
    }
  }
  return row.back();
}

// Names the first word that no option of `command` takes, and what it is like.
std::string WhatIsUnknown(const CLI::App& command,
                          const std::vector<std::string>& words) {
  const auto is_option = [](const std::string& word) {
    return absl::StartsWith(word, "-");
  };
  auto word = std::find_if(words.begin(), words.end(), is_option);
  if (word == words.end()) word = words.begin();
  if (word == words.end()) return "more words than are understood";
  const std::string name = word->substr(0, word->find('='));
  if (!is_option(name)) return absl::StrCat(name, ": one kernel is enough");
  std::string nearest;
  size_t least = name.size() / 2;  // Farther off is nothing like it.
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      const size_t distance = Distance(name, "--" + known);
      if (distance >= least) continue;
      least = distance;
      nearest = "--" + known;
    }
  }
  return absl::StrCat("there is no option ", name,
                      nearest.empty() ? "" : "; is it " + nearest + "?");
}

// Returns the words behind the first "--", and takes them off.
std::vector<std::string> TakeCommand(int& argc, const char* const* argv) {
  const char* const* const end = argv + argc;
  const char* const* const mark = std::find(argv, end, absl::string_view("--"));
  argc = static_cast<int>(mark - argv);
  return mark == end ? std::vector<std::string>()
                     : std::vector<std::string>(mark + 1, end);
}

// Returns the code of a usage error. One in the options is the same for every
// commit: `git bisect run` has to stop at it.
ExitCode UsageOf(int argc, const char* const* argv) {
  const bool bisects =
      std::any_of(argv, argv + argc, [](absl::string_view word) {
        return absl::StartsWith(word, "--bisect");
      });
  return bisects ? kBisectAbort : ExitCode::kUsage;
}

}  // namespace

ExitCode RunCommandLine(int argc, const char* const* argv,
                        SessionRunner run_session, Confiner confine) {
  CLI::App app("Runs AArch64 guests under KVM and parks their CPUs.", "vmm");
  app.require_subcommand(1);
  app.footer(kExitCodes);  // Of the subcommands', too.
  app.set_version_flag("--version", [] {
    return absl::StrCat("vmm ", Version(), " (commit ", Commit(), ")");
  });

  RunOptions options;
  CLI::App& run = *app.add_subcommand(
      "run",
      "Run a guest kernel, or a command in it: vmm run [OPTIONS] KERNEL "
      "[-- COMMAND [ARGUMENT]...]");
  const int words = argc;
  options.command = TakeCommand(argc, argv);
  DefineRunOptions(run, options,
                   absl::MakeConstSpan(argv, static_cast<size_t>(argc)));

  bool doctor_json = false;
  CLI::App& doctor =
      *app.add_subcommand("doctor", "Say what this host can do.");
  doctor.add_flag("--json", doctor_json, "as JSON");

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream answer;
    app.exit(asked, answer, answer);
    return Print(answer.str());
  } catch (const CLI::ExtrasError& error) {
    CLI::App all;
    RunOptions unused;
    DefineRunOptions(all, unused);
    const CLI::App& command = run.parsed() ? all : app;
    LogError(absl::StrCat(WhatIsUnknown(command, app.remaining(true)),
                          "; see vmm ", run.parsed() ? "run " : "", "--help"));
    return UsageOf(argc, argv);
  } catch (const CLI::ParseError& error) {
    LogError(absl::StrCat(error.what(), "; see vmm ",
                          run.parsed() ? "run " : "", "--help"));
    return UsageOf(argc, argv);
  }
  if (words > argc && (doctor.parsed() || options.command.empty())) {
    LogError("-- precedes a command for the guest: vmm run KERNEL -- COMMAND");
    return UsageOf(argc, argv);
  }
  if (doctor.parsed()) {
    HostReport host = ExamineHost();
    host.checks.push_back(ConfinementCheck());
    return DoctorCommand(host, doctor_json);
  }
  if (const absl::Status applied = ApplyConfigFile(run, options);
      !applied.ok()) {
    const ExitCode code = Blame(applied);
    return code == ExitCode::kUsage ? UsageOf(argc, argv) : code;
  }
  return RunCommand(options, run_session, confine);
}

}  // namespace vmm
