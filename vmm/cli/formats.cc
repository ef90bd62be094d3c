// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/formats.h"

#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "vmm/base/file.h"
#include "vmm/base/status_macros.h"
#include "vmm/run/case_formats.h"

namespace vmm {
namespace {

using Kind = Format::Kind;

constexpr std::pair<absl::string_view, Kind> kKinds[] = {
    {"text", Kind::kText}, {"json", Kind::kJson}, {"junit", Kind::kJunit},
    {"ktap", Kind::kKtap}, {"tap", Kind::kTap},   {"github", Kind::kGithub}};

absl::Status WriteGithub(const Format& format, const CaseList& cases,
                         const RunTexts& texts) {
  RETURN_IF_ERROR(WriteTo(STDOUT_FILENO, "stdout", GithubAnnotations(cases)));
  std::string path = format.path;
  if (path.empty()) {
    const char* const step = std::getenv("GITHUB_STEP_SUMMARY");
    if (step == nullptr || *step == 0) return absl::OkStatus();
    path = step;
  }
  ASSIGN_OR_RETURN(FileStream file,
                   FileStream::Open(path, FileStream::Start::kAtEnd));
  return file.Write(GithubSummary(cases, texts.verdict));
}

std::string TextOf(Kind kind, const CaseList& cases, const RunTexts& texts) {
  switch (kind) {
    case Kind::kText:
      return texts.text;
    case Kind::kJson:
      return texts.json;
    case Kind::kJunit:
      return Junit(cases);
    case Kind::kKtap:
      return Ktap(cases);
    case Kind::kTap:
      return Tap(cases);
    case Kind::kGithub:
      break;
  }
  return "";
}

}  // namespace

absl::StatusOr<Format> ParseFormat(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  for (const auto& [name, kind] : kKinds) {
    if (parts.first != name) continue;
    if (parts.second.empty() && parts.first != text) {
      return absl::InvalidArgumentError(absl::StrCat(
          text, " names no file; say ", name, " or ", name, ":FILE"));
    }
    return Format{kind, std::string(parts.second)};
  }
  return absl::InvalidArgumentError(
      absl::StrCat(parts.first,
                   " is not one of text|json|junit|ktap|tap|github; say "
                   "junit:FILE, for example"));
}

absl::Status WriteFormat(const Format& format, const CaseList& cases,
                         const RunTexts& texts) {
  if (format.kind == Kind::kGithub) return WriteGithub(format, cases, texts);
  const std::string text = TextOf(format.kind, cases, texts);
  if (format.path.empty()) return WriteTo(STDOUT_FILENO, "stdout", text);
  return WriteFile(format.path, text);
}

}  // namespace vmm
