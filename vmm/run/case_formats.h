// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_CASE_FORMATS_H_
#define PARKVMM_VMM_RUN_CASE_FORMATS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "vmm/run/cases.h"

namespace vmm {

// The table of a run that has all its boots, of those that came up; its
// summary, and what was wrong: as on stderr.
std::string TextReport(const SessionResult& result, Times times,
                       const std::string& summary);

// The cases of a run in the formats of CI systems. Each is valid UTF-8 without
// control characters. What timed out or broke is an error, not a failure, where
// a format tells the two apart.

// JUnit XML, in the dialect that Jenkins and GitLab read: one suite.
std::string Junit(const CaseList& list);

// KTAP version 1 (Linux: Documentation/dev-tools/ktap.rst).
std::string Ktap(const CaseList& list);

// TAP version 13, with a YAML block for each case that did not pass.
std::string Tap(const CaseList& list);

// GitHub's workflow commands: one annotation for each case that did not pass,
// at most ten, which is what GitHub shows of a step.
std::string GithubAnnotations(const CaseList& list);

// GitHub's job summary: Markdown, far below the 1 MB that a step may have.
std::string GithubSummary(const CaseList& list, absl::string_view verdict);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_CASE_FORMATS_H_
