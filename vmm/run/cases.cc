// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/cases.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/text.h"

namespace vmm {
namespace {

using Outcome = Case::Outcome;

Outcome OutcomeOf(ExitCode code) {
  switch (code) {
    case ExitCode::kOk:
      return Outcome::kPassed;
    case ExitCode::kTimeout:
    case ExitCode::kBootTimeout:
      return Outcome::kTimedOut;
    case ExitCode::kHostCannot:
    case ExitCode::kVmmBug:
    case ExitCode::kSandbox:
    case ExitCode::kOutputLost:
    case ExitCode::kInterrupted:
      return Outcome::kBroken;
    default:
      return Outcome::kFailed;
  }
}

// A command's status may be any number: what ended the run decides.
Outcome OutcomeOf(const Conclusion& conclusion) {
  return conclusion.IsCommands() ? Outcome::kFailed
                                 : OutcomeOf(conclusion.code);
}

void Fail(Case& failed, const Conclusion& conclusion) {
  failed.outcome = OutcomeOf(conclusion);
  failed.id = conclusion.id;
  failed.message = Printable(conclusion.sentence);
}

// With --on-reset reboot a run has several machines, and each counts anew.
std::string NameOf(const Boot& boot, int machine) {
  return absl::StrCat(
      machine > 1 ? absl::StrFormat("machine %d, ", machine) : "",
      boot.kexec ? absl::StrCat("kexec ", boot.number) : "boot");
}

}  // namespace

std::vector<Case> CasesOf(const SessionResult& result, bool raw,
                          std::optional<uint32_t> expected_kexecs,
                          absl::Span<const Limit> limits) {
  const Conclusion& conclusion = result.conclusion;
  std::vector<Case> cases;
  // The case that the conclusion is about, and has what was found at the end.
  std::optional<size_t> blamed;
  int machine = 0;
  uint32_t kexecs = result.other_kexecs;
  for (const Boot& boot : result.boots) {
    if (boot.kexec) {
      ++kexecs;
    } else {
      ++machine;
    }
    Case& added = cases.emplace_back();
    added.name = NameOf(boot, machine);
    added.ns = boot.total;
    auto fault = JudgeBoot(boot, raw);
    if (!fault) fault = JudgeTimes(boot, limits);
    if (!fault) continue;
    Fail(added, *fault);
    if (conclusion.id == fault->id && !blamed) blamed = cases.size() - 1;
  }
  // The boot in which the run ended. The first one of a guest that says nothing
  // of itself is blamed only for taking too long.
  if (!result.boots.empty() && !result.boots.back().came_up && !blamed) {
    const bool is_kexec = result.boots.back().kexec;
    if (is_kexec && conclusion.code == ExitCode::kOk) {
      cases.back().outcome = Outcome::kSkipped;
      cases.back().id = "incomplete";
      cases.back().message = "nobody knows whether it came up";
    } else if (is_kexec || conclusion.id == "boot-timeout") {
      blamed = cases.size() - 1;
      Fail(cases[*blamed], conclusion);
    }
  }
  const uint32_t missing =
      expected_kexecs.value_or(0) > kexecs ? *expected_kexecs - kexecs : 0;
  for (uint32_t i = 1; i <= std::min(missing, kMaxMissingCases); ++i) {
    cases.push_back({.name = absl::StrCat("kexec ", kexecs + i),
                     .outcome = Outcome::kSkipped,
                     .id = "not-begun",
                     .message = "it did not begin"});
  }
  Case& end = cases.emplace_back();
  end.name = "end";
  if (!blamed && conclusion.code != ExitCode::kOk) {
    Fail(end, conclusion);
    blamed = cases.size() - 1;
  }
  if (blamed) cases[*blamed].details = result.post_mortem;
  return cases;
}

Case NotRun(absl::string_view why, bool skipped) {
  return {.name = "end",
          .outcome = skipped ? Outcome::kSkipped : Outcome::kBroken,
          .id = skipped ? "skipped" : "not-run",
          .message = Printable(why)};
}

}  // namespace vmm
