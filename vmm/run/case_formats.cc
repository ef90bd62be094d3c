// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/case_formats.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"
#include "vmm/base/text.h"
#include "vmm/measure/report.h"
#include "vmm/run/version.h"

namespace vmm {
namespace {

using Outcome = Case::Outcome;

constexpr size_t kMaxAnnotations = 10;
constexpr size_t kMaxSummaryRows = 500;
constexpr size_t kMaxSummaryText = 300;  // bytes

bool IsError(const Case& one) {
  return one.outcome == Outcome::kTimedOut || one.outcome == Outcome::kBroken;
}

// Whether it fails a run: the exit code is not 0.
bool Fails(const Case& one) {
  return one.outcome == Outcome::kFailed || IsError(one);
}

template <typename Predicate>
int64_t Count(const CaseList& list, Predicate predicate) {
  return std::count_if(list.cases.begin(), list.cases.end(), predicate);
}

std::string Seconds(int64_t ns) {
  return absl::StrFormat("%.9f", static_cast<double>(ns) / 1e9);
}

absl::string_view Word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed:
      return "passed";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kTimedOut:
      return "timed out";
    case Outcome::kBroken:
      return "broken";
    case Outcome::kSkipped:
      return "skipped";
  }
  return "";
}

std::string Xml(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string XmlTime(const Case& one) {
  return one.ns ? absl::StrFormat(" time=\"%s\"", Seconds(*one.ns)) : "";
}

// The same with texts that may stand in any of the formats.
CaseList Printed(CaseList list) {
  const auto print = [](std::string& text) { text = Printable(text); };
  print(list.suite);
  print(list.label);
  for (Case& one : list.cases) {
    print(one.name);
    print(one.id);
    print(one.message);
    for (std::string& line : one.details) print(line);
  }
  return list;
}

// What a test case element holds, or nothing.
std::string JunitOutcome(const Case& one) {
  if (one.outcome == Outcome::kPassed) return "";
  if (one.outcome == Outcome::kSkipped) {
    return absl::StrFormat("      <skipped message=\"%s\"/>\n",
                           Xml(one.message));
  }
  const char* const element = IsError(one) ? "error" : "failure";
  std::string text = absl::StrCat(Xml(one.message), "\n");
  for (const std::string& line : one.details) {
    absl::StrAppend(&text, Xml(line), "\n");
  }
  return absl::StrFormat("      <%s type=\"%s\" message=\"%s\">%s</%s>\n",
                         element, Xml(one.id), Xml(one.message), text, element);
}

// "#" begins a directive.
std::string TapText(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"#", "\\#"}});
}

std::string JsonString(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Escapes for the data of a workflow command, and for its properties.
std::string CommandText(absl::string_view text) {
  return absl::StrReplaceAll(text,
                             {{"%", "%25"}, {"\r", "%0D"}, {"\n", "%0A"}});
}

std::string CommandProperty(absl::string_view text) {
  return absl::StrReplaceAll(CommandText(text), {{":", "%3A"}, {",", "%2C"}});
}

// Text in a cell of a Markdown table.
std::string Markdown(absl::string_view text) {
  return absl::StrReplaceAll(Printable(text), {{"&", "&amp;"},
                                               {"<", "&lt;"},
                                               {"|", "\\|"},
                                               {"`", "\\`"},
                                               {"*", "\\*"},
                                               {"_", "\\_"},
                                               {"[", "\\["}});
}

}  // namespace

std::string TextReport(const SessionResult& result, Times times,
                       const std::string& summary) {
  std::string text;
  for (const Boot& boot : result.boots) {
    if (!boot.came_up) continue;
    if (text.empty()) text = absl::StrCat(TableHeading(times), "\n");
    absl::StrAppend(&text, TableRow(boot, times), "\n");
  }
  if (!summary.empty()) absl::StrAppend(&text, summary, "\n");
  if (result.conclusion.code != ExitCode::kOk) {
    absl::StrAppend(&text, result.conclusion.Line(), "\n");
  }
  return text;
}

std::string Junit(const CaseList& cases) {
  const CaseList list = Printed(cases);
  const auto failures = Count(
      list, [](const Case& one) { return one.outcome == Outcome::kFailed; });
  const auto skipped = Count(
      list, [](const Case& one) { return one.outcome == Outcome::kSkipped; });
  int64_t ns = 0;
  for (const Case& one : list.cases) ns += one.ns.value_or(0);
  const std::string counts = absl::StrFormat(
      " tests=\"%d\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" time=\"%s\"",
      list.cases.size(), failures, Count(list, IsError), skipped, Seconds(ns));
  const std::string suite = Xml(list.suite);
  std::string xml = absl::StrCat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"parkvmm\"",
      counts, ">\n  <testsuite name=\"", suite, "\"", counts,
      ">\n    <properties>\n      <property name=\"label\" value=\"",
      Xml(list.label), "\"/>\n      <property name=\"vmm\" value=\"",
      Xml(absl::StrCat(Version(), " (", Commit(), ")")),
      "\"/>\n    </properties>\n");
  for (const Case& one : list.cases) {
    const std::string outcome = JunitOutcome(one);
    absl::StrAppend(&xml, "    <testcase classname=\"parkvmm.", suite,
                    "\" name=\"", Xml(one.name), "\"", XmlTime(one));
    if (outcome.empty()) {
      absl::StrAppend(&xml, "/>\n");
    } else {
      absl::StrAppend(&xml, ">\n", outcome, "    </testcase>\n");
    }
  }
  return absl::StrCat(xml, "  </testsuite>\n</testsuites>\n");
}

std::string Ktap(const CaseList& cases) {
  const CaseList list = Printed(cases);
  std::string text = absl::StrFormat("KTAP version 1\n# %s, label %s\n1..%d\n",
                                     list.suite, list.label, list.cases.size());
  for (size_t i = 0; i < list.cases.size(); ++i) {
    const Case& one = list.cases[i];
    for (const std::string& line : one.details) {
      absl::StrAppend(&text, "# ", line, "\n");
    }
    if (Fails(one)) {
      absl::StrAppend(&text, "# ", one.id, ": ", one.message, "\n");
    }
    absl::StrAppendFormat(&text, "%s %d %s", Fails(one) ? "not ok" : "ok",
                          i + 1, one.name);
    if (one.outcome == Outcome::kSkipped) {
      absl::StrAppend(&text, " # SKIP ", TapText(one.message));
    } else if (one.outcome == Outcome::kTimedOut) {
      absl::StrAppend(&text, " # TIMEOUT ", one.id);
    } else if (one.outcome == Outcome::kBroken) {
      absl::StrAppend(&text, " # ERROR ", one.id);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string Tap(const CaseList& cases) {
  const CaseList list = Printed(cases);
  std::string text =
      absl::StrFormat("TAP version 13\n1..%d\n", list.cases.size());
  for (size_t i = 0; i < list.cases.size(); ++i) {
    const Case& one = list.cases[i];
    absl::StrAppendFormat(&text, "%s %d - %s", Fails(one) ? "not ok" : "ok",
                          i + 1, one.name);
    if (one.outcome == Outcome::kSkipped) {
      absl::StrAppend(&text, " # SKIP ", TapText(one.message));
    }
    absl::StrAppend(&text, "\n");
    if (!Fails(one)) continue;
    absl::StrAppend(&text, "  ---\n  id: ", JsonString(one.id),
                    "\n  outcome: ", JsonString(Word(one.outcome)),
                    "\n  message: ", JsonString(one.message), "\n");
    if (!one.details.empty()) absl::StrAppend(&text, "  details:\n");
    for (const std::string& line : one.details) {
      absl::StrAppend(&text, "    - ", JsonString(line), "\n");
    }
    absl::StrAppend(&text, "  ...\n");
  }
  return text;
}

std::string GithubAnnotations(const CaseList& cases) {
  const CaseList list = Printed(cases);
  std::string lines;
  size_t said = 0;
  for (const Case& one : list.cases) {
    if (one.outcome == Outcome::kPassed || said == kMaxAnnotations) continue;
    ++said;
    const std::string message =
        one.details.empty()
            ? one.message
            : absl::StrCat(one.message, "\n", absl::StrJoin(one.details, "\n"));
    absl::StrAppendFormat(
        &lines, "::%s title=%s::%s\n", Fails(one) ? "error" : "notice",
        CommandProperty(absl::StrCat(
            "parkvmm ", list.suite, ": ", one.name,
            Fails(one) ? absl::StrCat(" ", one.id) : " was skipped")),
        CommandText(message));
  }
  return lines;
}

std::string GithubSummary(const CaseList& cases, absl::string_view verdict) {
  const CaseList list = Printed(cases);
  std::string text = absl::StrFormat(
      "### parkvmm: %s\n\n%s\n\n| case | outcome | seconds | why |\n"
      "|---|---|---:|---|\n",
      Markdown(list.suite), Markdown(verdict));
  size_t rows = 0;
  for (const Case& one : list.cases) {
    // Of many, all that did not pass are told, and as many others as fit.
    const bool passed = one.outcome == Outcome::kPassed;
    if (rows >= kMaxSummaryRows || (passed && rows >= kMaxSummaryRows / 2)) {
      continue;
    }
    ++rows;
    absl::StrAppendFormat(
        &text, "| %s | %s | %s | %s |\n", one.name, Word(one.outcome),
        one.ns ? absl::StrFormat("%.3f", static_cast<double>(*one.ns) / 1e9)
               : "-",
        passed ? ""
               : Markdown(absl::StrCat(one.id, ": ", one.message)
                              .substr(0, kMaxSummaryText)));
  }
  if (rows < list.cases.size()) {
    absl::StrAppendFormat(&text, "\n%d more cases are not shown.\n",
                          list.cases.size() - rows);
  }
  for (const Case& one : list.cases) {
    if (one.details.empty()) continue;
    absl::StrAppendFormat(&text, "\n%s:\n\n", one.name);
    for (const std::string& line : one.details) {
      absl::StrAppend(&text, "    ", line, "\n");
    }
  }
  absl::StrAppendFormat(&text, "\nLabel `%s`.\n", list.label);
  return text;
}

}  // namespace vmm
