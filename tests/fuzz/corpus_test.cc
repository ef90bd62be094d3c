// SPDX-License-Identifier: Apache-2.0
// Gives each fuzzer the files of its corpus: what was found once stays found.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzzer.h"

namespace fuzz {
namespace {

namespace fs = std::filesystem;

fs::path Corpus() { return fs::path(PARKVMM_SOURCE_DIR) / "tests/fuzz/corpus"; }

std::vector<fs::path> FilesIn(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<uint8_t> BytesOf(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, target] : Targets()) names.push_back(name);
  return names;
}

TEST(CorpusTest, EachFuzzerHasOneAndEachIsAFuzzers) {
  std::vector<std::string> folders;
  for (const fs::path& folder : FilesIn(Corpus())) {
    folders.push_back(folder.filename());
  }
  EXPECT_EQ(folders, Names());
}

class CorpusTest : public testing::TestWithParam<std::string> {};

TEST_P(CorpusTest, BreaksNothing) {
  const Target target = Targets().at(GetParam());
  const std::vector<fs::path> files = FilesIn(Corpus() / GetParam());
  EXPECT_FALSE(files.empty());
  target(Input({}));
  for (const fs::path& file : files) {
    // Whoever breaks aborts: the last one named is the one.
    printf("%s\n", file.c_str());
    fflush(stdout);
    const std::vector<uint8_t> bytes = BytesOf(file);
    target(Input(bytes));
  }
}

INSTANTIATE_TEST_SUITE_P(Each, CorpusTest, testing::ValuesIn(Names()),
                         [](const auto& info) { return info.param; });

// Whoever finds nothing wrong with anything would pass each of these tests.
TEST(ViolationTest, IsOneLineAndAborts) {
  EXPECT_DEATH(FUZZ_CHECK(1 + 1 == 3), "violated: 1 \\+ 1 == 3\n");
  EXPECT_DEATH(FUZZ_CHECK_TEXT(false, "a\x1b[0m\n"), "a\\\\x1b\\[0m\\\\x0a\n");
}

TEST(ViolationTest, IsSeenWhateverIsCaptured) {
  EXPECT_DEATH(
      {
        const Captured captured;
        FUZZ_CHECK(false);
      },
      "violated: false");
}

TEST(CapturedTest, HasWhatWasWrittenMeanwhile) {
  Captured captured;
  fputs("to stderr\n", stderr);
  fputs("to stdout\n", stdout);
  fflush(stdout);
  captured.Stop();
  EXPECT_EQ(captured.output(), "to stdout\n");
  EXPECT_EQ(captured.errors(), "to stderr\n");
}

TEST(IsPrintableTest, KnowsUtf8) {
  for (const char* const good : {"", "a b", "\xc3\xa4", "\xe2\x82\xac",
                                 "\xf0\x9f\x90\xa7", "\xef\xbf\xbd"}) {
    EXPECT_TRUE(IsPrintable(good, false)) << good;
  }
  for (const char* const bad :
       {"\x1b[m", "\x7f", "\xc2\x85", "\xff", "\xc3", "\xc0\xaf", "\x80",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\t", "\n"}) {
    EXPECT_FALSE(IsPrintable(bad, false)) << bad;
  }
  EXPECT_TRUE(IsPrintable("a\nb\n", true));
  EXPECT_FALSE(IsPrintable("a\rb", true));
}

}  // namespace
}  // namespace fuzz
