// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_outputs.h"

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"
#include "vmm/cli/formats.h"
#include "vmm/cli/output.h"
#include "vmm/run/case_formats.h"
#include "vmm/run/cases.h"
#include "vmm/run/results.h"

namespace vmm {
namespace {

bool AreOneFile(const std::string& one, const std::string& other) {
  if (OwnStream(one) >= 0) return false;  // Nothing is replaced there.
  struct stat a = {};
  struct stat b = {};
  if (stat(one.c_str(), &a) != 0 || stat(other.c_str(), &b) != 0) {
    return one == other;
  }
  // What is no regular file may be shared.
  return S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

absl::Status WriteFormats(const RunOptions& options, const CaseList& cases,
                          const RunTexts& texts) {
  absl::Status first;
  for (const std::string& text : options.formats) {
    const auto format = ParseFormat(text);
    const absl::Status written =
        format.ok() ? WriteFormat(*format, cases, texts) : format.status();
    if (!written.ok()) LogError(written.message());
    first.Update(written);
  }
  return first;
}

}  // namespace

absl::Status CheckOutputs(const RunOptions& options) {
  struct Output {
    std::string option, path;
    bool at_the_end;
  };
  std::vector<Output> outputs = {{"--events", options.events, false},
                                 {"--results", options.results, true},
                                 {"--dump-dtb", options.dump_dtb, false}};
  for (const std::string& text : options.formats) {
    ASSIGN_OR_RETURN(const Format format, ParseFormat(text));
    outputs.push_back({absl::StrCat("--format ", text), format.path, true});
  }
  for (const Output& one : outputs) {
    for (const Output& other : outputs) {
      if (&one >= &other || one.path.empty() || other.path.empty() ||
          !AreOneFile(one.path, other.path)) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat(one.option, " and ", other.option,
                       " are one file, and each replaces it: ", one.path));
    }
  }
  for (const Output& one : outputs) {
    if (!one.at_the_end || one.path.empty()) continue;
    RETURN_IF_ERROR(CheckWritable(one.path));
  }
  return absl::OkStatus();
}

uint32_t KexecsBegun(const SessionResult& result) {
  const bool last_is_not_up = !result.boots.empty() &&
                              result.boots.back().kexec &&
                              !result.boots.back().came_up;
  return result.kexecs.came_up() + (last_is_not_up ? 1 : 0);
}

absl::Status WriteOutputs(const RunOptions& options, const MachineSpec& spec,
                          const SessionResult& result, const RunLines& lines) {
  if (options.results.empty() && options.formats.empty()) {
    return absl::OkStatus();
  }
  const CaseList cases = {
      .suite = options.arm,
      .label = lines.label.name,
      .cases = CasesOf(result, spec.kernel.raw, lines.expected_kexecs,
                       lines.limits)};
  const RunTexts texts = {
      .json = JsonText(ResultsJson(
          {.config = ToJson(options), .arm = options.arm, .label = lines.label},
          spec, result, cases.cases)),
      .text = TextReport(result, lines.times, lines.summary),
      .verdict = result.conclusion.code != ExitCode::kOk
                     ? result.conclusion.Line()
                 : lines.summary.empty() ? "the run went well"
                                         : lines.summary};
  absl::Status first;
  if (!options.results.empty()) {
    first = WriteFile(options.results, texts.json);
    if (!first.ok()) LogError(first.message());
  }
  first.Update(WriteFormats(options, cases, texts));
  return first;
}

void WriteThatItDidNotRun(const RunOptions& options, const std::string& label,
                          const absl::Status& why, ExitCode code) {
  const std::string line(why.message());
  WriteFormats(
      options, {options.arm, label, {NotRun(line, code == ExitCode::kSkipped)}},
      {.json = "null\n", .text = absl::StrCat(line, "\n"), .verdict = line})
      .IgnoreError();
}

}  // namespace vmm
