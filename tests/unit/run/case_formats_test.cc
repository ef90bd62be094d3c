// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/case_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "vmm/run/version.h"

namespace vmm {
namespace {

using Outcome = Case::Outcome;
using testing::HasSubstr;
using testing::Not;

// One of each outcome, with everything that a format has to escape.
const CaseList kRun = {
    .suite = "stop & <go>",
    .label = "kvm",
    .cases = {{.name = "boot", .ns = 1'500'000'000},
              {.name = "kexec 1",
               .outcome = Outcome::kFailed,
               .ns = 2'000'000'001,
               .id = "cpus-lost",
               .message = "3 of 4 <CPUs> & \"more\" # 100%, a: b",
               .details = {"  | line <1> # x", "vCPU 3: off"}},
              {.name = "kexec 2",
               .outcome = Outcome::kTimedOut,
               .id = "kexec-timeout",
               .message = "waited 5m"},
              {.name = "kexec 3",
               .outcome = Outcome::kSkipped,
               .id = "not-begun",
               .message = "it did not begin #1"},
              {.name = "end",
               .outcome = Outcome::kBroken,
               .id = "vmm-bug",
               .message = "KVM_RUN failed"}}};

// Whoever made them: no text of a case ends a line, or moves a cursor.
TEST(FormatsTest, NoTextOfACaseIsObeyed) {
  const std::string bad = "\x1b[31m\nok 9 - forged\xff";
  const std::string shown = "\\x1b[31m\\x0aok 9 - forged\\xff";
  CaseList list = {.suite = bad, .label = bad};
  for (const Outcome outcome :
       {Outcome::kPassed, Outcome::kFailed, Outcome::kTimedOut,
        Outcome::kBroken, Outcome::kSkipped}) {
    list.cases.push_back({.name = bad,
                          .outcome = outcome,
                          .id = bad,
                          .message = bad,
                          .details = {bad}});
  }
  for (const std::string& text :
       {Junit(list), Ktap(list), Tap(list), GithubAnnotations(list),
        GithubSummary(list, bad)}) {
    for (const char obeyed : {'\x1b', '\xff'}) {
      EXPECT_EQ(text.find(obeyed), std::string::npos) << text;
    }
    EXPECT_THAT(text, Not(HasSubstr("\nok 9")));
  }
  EXPECT_THAT(Junit(list), HasSubstr("name=\"" + shown + "\""));
  EXPECT_THAT(Ktap(list), HasSubstr("ok 1 " + shown + "\n"));
}

TEST(JunitTest, ToldApartArePassedFailedErrorsAndSkipped) {
  const std::string version = std::string(Version()) + " (" + Commit() + ")";
  EXPECT_EQ(Junit(kRun), R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="parkvmm" tests="5" failures="1" errors="2" skipped="1" time="3.500000001">
  <testsuite name="stop &amp; &lt;go&gt;" tests="5" failures="1" errors="2" skipped="1" time="3.500000001">
    <properties>
      <property name="label" value="kvm"/>
      <property name="vmm" value=")" +
                             version + R"("/>
    </properties>
    <testcase classname="parkvmm.stop &amp; &lt;go&gt;" name="boot" time="1.500000000"/>
    <testcase classname="parkvmm.stop &amp; &lt;go&gt;" name="kexec 1" time="2.000000001">
      <failure type="cpus-lost" message="3 of 4 &lt;CPUs&gt; &amp; &quot;more&quot; # 100%, a: b">3 of 4 &lt;CPUs&gt; &amp; &quot;more&quot; # 100%, a: b
  | line &lt;1&gt; # x
vCPU 3: off
</failure>
    </testcase>
    <testcase classname="parkvmm.stop &amp; &lt;go&gt;" name="kexec 2">
      <error type="kexec-timeout" message="waited 5m">waited 5m
</error>
    </testcase>
    <testcase classname="parkvmm.stop &amp; &lt;go&gt;" name="kexec 3">
      <skipped message="it did not begin #1"/>
    </testcase>
    <testcase classname="parkvmm.stop &amp; &lt;go&gt;" name="end">
      <error type="vmm-bug" message="KVM_RUN failed">KVM_RUN failed
</error>
    </testcase>
  </testsuite>
</testsuites>
)");
}

TEST(JunitTest, WhatXmlCannotHoldIsShownByItsBytes) {
  const CaseList list = {
      .suite = "a\x01",
      .label = "kvm",
      .cases = {{.name = "end",
                 .outcome = Outcome::kFailed,
                 .message = "\xef\xbf\xbe\xef\xbf\xbf\xff"}}};
  const std::string xml = Junit(list);
  EXPECT_THAT(xml, HasSubstr("name=\"a\\x01\""));
  EXPECT_THAT(xml, HasSubstr(R"(message="\xef\xbf\xbe\xef\xbf\xbf\xff")"));
}

TEST(KtapTest, DirectivesSayWhatIsNoFailure) {
  EXPECT_EQ(Ktap(kRun), R"(KTAP version 1
# stop & <go>, label kvm
1..5
ok 1 boot
#   | line <1> # x
# vCPU 3: off
# cpus-lost: 3 of 4 <CPUs> & "more" # 100%, a: b
not ok 2 kexec 1
# kexec-timeout: waited 5m
not ok 3 kexec 2 # TIMEOUT kexec-timeout
ok 4 kexec 3 # SKIP it did not begin \#1
# vmm-bug: KVM_RUN failed
not ok 5 end # ERROR vmm-bug
)");
}

TEST(TapTest, WhatDidNotPassHasAYamlBlock) {
  EXPECT_EQ(Tap(kRun), R"(TAP version 13
1..5
ok 1 - boot
not ok 2 - kexec 1
  ---
  id: "cpus-lost"
  outcome: "failed"
  message: "3 of 4 <CPUs> & \"more\" # 100%, a: b"
  details:
    - "  | line <1> # x"
    - "vCPU 3: off"
  ...
not ok 3 - kexec 2
  ---
  id: "kexec-timeout"
  outcome: "timed out"
  message: "waited 5m"
  ...
ok 4 - kexec 3 # SKIP it did not begin \#1
not ok 5 - end
  ---
  id: "vmm-bug"
  outcome: "broken"
  message: "KVM_RUN failed"
  ...
)");
}

TEST(GithubTest, WhatDidNotPassIsAnAnnotation) {
  EXPECT_EQ(GithubAnnotations(kRun),
            "::error title=parkvmm stop & <go>%3A kexec 1 cpus-lost::3 of 4 "
            "<CPUs> & \"more\" # 100%25, a: b%0A  | line <1> # x%0AvCPU 3: "
            "off\n"
            "::error title=parkvmm stop & <go>%3A kexec 2 "
            "kexec-timeout::waited 5m\n"
            "::notice title=parkvmm stop & <go>%3A kexec 3 was skipped::it did "
            "not begin #1\n"
            "::error title=parkvmm stop & <go>%3A end vmm-bug::KVM_RUN "
            "failed\n");
}

TEST(GithubTest, GithubShowsTenAnnotationsOfAStep) {
  CaseList list = {.suite = "stock", .label = "kvm"};
  list.cases.resize(25, {.name = "end", .outcome = Outcome::kFailed});
  const std::string text = GithubAnnotations(list);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
}

TEST(GithubTest, ASummaryIsATableAndWhatWasFound) {
  EXPECT_EQ(GithubSummary(kRun, "1 of 3 [cpus-lost]"),
            R"(### parkvmm: stop &amp; &lt;go>

1 of 3 \[cpus-lost]

| case | outcome | seconds | why |
|---|---|---:|---|
| boot | passed | 1.500 |  |
| kexec 1 | failed | 2.000 | cpus-lost: 3 of 4 &lt;CPUs> &amp; "more" # 100%, a: b |
| kexec 2 | timed out | - | kexec-timeout: waited 5m |
| kexec 3 | skipped | - | not-begun: it did not begin #1 |
| end | broken | - | vmm-bug: KVM\_RUN failed |

kexec 1:

      | line <1> # x
    vCPU 3: off

Label `kvm`.
)");
}

// Of a summary's table, without its heading.
ptrdiff_t Rows(const std::string& summary) {
  const std::vector<absl::string_view> lines = absl::StrSplit(summary, '\n');
  return std::count_if(lines.begin(), lines.end(), [](absl::string_view line) {
    return absl::StartsWith(line, "| kexec ");
  });
}

TEST(GithubTest, ASummaryHasARoomAndWhatFailedIsInIt) {
  CaseList list = {.suite = "stock", .label = "kvm"};
  list.cases.resize(9999, {.name = "kexec 1"});
  list.cases.push_back({.name = "kexec 9999",
                        .outcome = Outcome::kFailed,
                        .message = std::string(4096, '|')});
  const std::string text = GithubSummary(list, "");
  EXPECT_LT(text.size(), size_t{1} << 20);
  EXPECT_THAT(text, HasSubstr("| kexec 9999 | failed |"));
  EXPECT_THAT(text, HasSubstr("\n9749 more cases are not shown.\n"));
  EXPECT_EQ(Rows(text), 251);
  list.cases.assign(1000, list.cases.back());
  const std::string failed = GithubSummary(list, "");
  EXPECT_LT(failed.size(), size_t{1} << 20);
  EXPECT_EQ(Rows(failed), 500);
  list.cases.assign(2, {.name = "end"});
  EXPECT_THAT(GithubSummary(list, ""), Not(HasSubstr("not shown")));
}

}  // namespace
}  // namespace vmm
