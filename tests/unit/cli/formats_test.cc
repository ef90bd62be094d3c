// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <utility>

#include "tests/support/scratch.h"

namespace vmm {
namespace {

using Kind = Format::Kind;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST(FormatTest, IsANameAndPerhapsAFile) {
  const std::pair<const char*, Kind> kinds[] = {
      {"text", Kind::kText}, {"json", Kind::kJson}, {"junit", Kind::kJunit},
      {"ktap", Kind::kKtap}, {"tap", Kind::kTap},   {"github", Kind::kGithub}};
  for (const auto& [name, kind] : kinds) {
    const auto format = ParseFormat(name);
    ASSERT_TRUE(format.ok()) << name;
    EXPECT_EQ(format->kind, kind);
    EXPECT_EQ(format->path, "");
    EXPECT_EQ(ParseFormat(std::string(name) + ":a:b c")->path, "a:b c");
  }
}

TEST(FormatTest, AnotherOneIsRefusedWithWhatThereIs) {
  for (const char* text : {"xml", "xml:f", "", ":f", "Junit", "junit :f"}) {
    EXPECT_THAT(std::string(ParseFormat(text).status().message()),
                HasSubstr("is not one of text|json|junit|ktap|tap|github; say "
                          "junit:FILE"))
        << text;
  }
  EXPECT_EQ(ParseFormat("tap:").status().message(),
            "tap: names no file; say tap or tap:FILE");
}

class WriteFormatTest : public testing::Test {
 protected:
  WriteFormatTest() { unsetenv("GITHUB_STEP_SUMMARY"); }
  ~WriteFormatTest() override {
    unlink(path_.c_str());
    unsetenv("GITHUB_STEP_SUMMARY");
  }
  // Returns what stdout got.
  std::string Write(const std::string& format) {
    testing::internal::CaptureStdout();
    EXPECT_TRUE(WriteFormat(*ParseFormat(format), cases_, texts_).ok());
    return testing::internal::GetCapturedStdout();
  }
  std::string File() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string path_ = ScratchPath("format");
  const CaseList cases_ = {
      "stock",
      "kvm",
      {{.name = "end", .outcome = Case::Outcome::kFailed, .id = "reset"}}};
  const RunTexts texts_ = {"{}\n", "a table\n", "a verdict"};
};

TEST_F(WriteFormatTest, EachIsAFileOrStdout) {
  const std::pair<const char*, const char*> begins[] = {
      {"text", "a table\n"},
      {"json", "{}\n"},
      {"junit", "<?xml "},
      {"ktap", "KTAP version 1"},
      {"tap", "TAP version 13"}};
  for (const auto& [name, begin] : begins) {
    EXPECT_THAT(Write(name), StartsWith(begin));
    EXPECT_THAT(Write(std::string(name) + ":" + path_), IsEmpty());
    EXPECT_THAT(File(), StartsWith(begin));
  }
}

TEST_F(WriteFormatTest, GithubsSummaryIsAppendedWhereItIsAskedFor) {
  EXPECT_THAT(Write("github"), StartsWith("::error "));
  std::ofstream(path_) << "before\n";
  EXPECT_THAT(Write("github:" + path_), StartsWith("::error "));
  EXPECT_THAT(File(), StartsWith("before\n### parkvmm: stock\n\na verdict\n"));
  setenv("GITHUB_STEP_SUMMARY", path_.c_str(), 1);
  Write("github");
  EXPECT_THAT(File(), HasSubstr("Label `kvm`.\n### parkvmm"));
}

TEST_F(WriteFormatTest, WhatCannotBeWrittenIsNamed) {
  const auto status =
      WriteFormat(*ParseFormat("tap:/dev/full"), cases_, texts_);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/full"));
}

}  // namespace
}  // namespace vmm
