// SPDX-License-Identifier: Apache-2.0
// Any texts in the cases of a run: each format stays UTF-8 without control
// characters, and has as many cases as there are.
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzzer.h"
#include "vmm/base/text.h"
#include "vmm/run/case_formats.h"

namespace {

constexpr size_t kMostCases = 16;

vmm::Case CaseFrom(fuzz::Input& input) {
  vmm::Case one;
  one.name = input.TakeShortText();
  one.outcome = static_cast<vmm::Case::Outcome>(input.TakeBelow(5));
  if (input.TakeBool()) one.ns = input.Take<int64_t>() & INT64_MAX >> 8;
  one.id = input.TakeShortText();
  one.message = input.TakeShortText();
  for (uint32_t i = input.TakeBelow(4); i > 0; --i) {
    one.details.push_back(input.TakeShortText());
  }
  return one;
}

std::vector<absl::string_view> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n');
}

size_t CountOf(const std::string& text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part.data(), 0, part.size());
       at != std::string::npos;
       at = text.find(part.data(), at + 1, part.size())) {
    ++count;
  }
  return count;
}

// No "<" and no "&" but for the elements and entities that Junit() writes.
void CheckXml(const std::string& xml, size_t cases) {
  FUZZ_CHECK(CountOf(xml, "<testcase ") == cases);
  FUZZ_CHECK(CountOf(xml, "</testsuites>") == 1);
  FUZZ_CHECK(CountOf(xml, "<") == CountOf(xml, ">"));
  FUZZ_CHECK(CountOf(xml, "\"") % 2 == 0);
  FUZZ_CHECK(CountOf(xml, "&") == CountOf(xml, "&amp;") + CountOf(xml, "&lt;") +
                                      CountOf(xml, "&gt;") +
                                      CountOf(xml, "&quot;"));
}

void CheckTap(const std::string& tap, size_t cases) {
  size_t found = 0;
  for (const absl::string_view line : Lines(tap)) {
    found += absl::StartsWith(line, "ok ") || absl::StartsWith(line, "not ok ");
  }
  FUZZ_CHECK(found == cases);
}

// The strings of YAML blocks are JSON's.
void CheckYaml(const std::string& tap) {
  for (absl::string_view line : Lines(tap)) {
    if (!absl::StartsWith(line, "  message: ") &&
        !absl::StartsWith(line, "    - ")) {
      continue;
    }
    line.remove_prefix(line.find(line[4] == '-' ? '-' : ':') + 2);
    FUZZ_CHECK_TEXT(nlohmann::json::accept(line.begin(), line.end()), line);
  }
}

void CheckGithub(const std::string& commands) {
  for (const absl::string_view line : Lines(commands)) {
    FUZZ_CHECK_TEXT(line.empty() || absl::StartsWith(line, "::error title=") ||
                        absl::StartsWith(line, "::notice title="),
                    line);
  }
}

}  // namespace

FUZZ_TARGET(cases) {
  vmm::CaseList list;
  list.suite = input.TakeShortText();
  list.label = input.TakeShortText();
  for (size_t i = 0; i < kMostCases && !input.empty(); ++i) {
    list.cases.push_back(CaseFrom(input));
  }
  const std::string xml = vmm::Junit(list);
  const std::string ktap = vmm::Ktap(list);
  const std::string tap = vmm::Tap(list);
  const std::string annotations = vmm::GithubAnnotations(list);
  const std::string summary = vmm::GithubSummary(list, list.suite);
  for (const std::string& text : {xml, ktap, tap, annotations, summary}) {
    FUZZ_CHECK_TEXT(fuzz::IsPrintable(text, true), text);
    // Each byte becomes six at most; the rest is ours.
    FUZZ_CHECK(text.size() < 100'000);
  }
  CheckXml(xml, list.cases.size());
  CheckTap(ktap, list.cases.size());
  CheckTap(tap, list.cases.size());
  CheckYaml(tap);
  CheckGithub(annotations);
  FUZZ_CHECK(fuzz::IsPrintable(vmm::Printable(list.suite), false));
}
