// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_FORMATS_H_
#define PARKVMM_VMM_CLI_FORMATS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vmm/run/cases.h"

namespace vmm {

// What one --format asks for.
struct Format {
  enum class Kind { kText, kJson, kJunit, kKtap, kTap, kGithub };
  Kind kind = Kind::kText;
  std::string path;  // Empty: stdout.
};

// Reads "junit:out.xml" or "junit". kInvalidArgument says which formats there
// are.
absl::StatusOr<Format> ParseFormat(absl::string_view text);

// A run, in the words of each format that is not made of its cases.
struct RunTexts {
  std::string json;     // Its results.
  std::string text;     // Its table of kexecs, and what follows it.
  std::string verdict;  // A line.
};

// Writes a run in a format: a file whole, or to stdout. GitHub's annotations go
// to stdout, and its summary is appended to the file, or else to the one that
// GITHUB_STEP_SUMMARY names, if any. Errors as WriteFile()'s.
absl::Status WriteFormat(const Format& format, const CaseList& cases,
                         const RunTexts& texts);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_FORMATS_H_
