// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace vmm {
namespace {

using testing::HasSubstr;

std::string FileOf(const std::string& name, const std::string& content) {
  std::string path = absl::StrCat(testing::TempDir(), name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string Text(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(ReadFileTest, ReadsAllOfIt) {
  const std::string content = std::string(300'000, 'x') + "end";
  const auto bytes = ReadFile(FileOf("all", content), content.size());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(Text(*bytes), content);
}

TEST(ReadFileTest, AnEmptyFileIsNoError) {
  const auto bytes = ReadFile(FileOf("empty", ""), 0);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_TRUE(bytes->empty());
}

TEST(ReadFileTest, ReadsAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "piped", 5), 5);
  close(ends[1]);
  const std::string path = absl::StrCat("/dev/fd/", ends[0]);
  const auto bytes = ReadFile(path, 5);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(Text(*bytes), "piped");
  close(ends[0]);
}

TEST(ReadFileTest, NamesAMissingFile) {
  const absl::Status status = ReadFile("/nowhere/Image", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "cannot open /nowhere/Image: No such file or directory");
}

TEST(ReadFileTest, RefusesADirectory) {
  const absl::Status status = ReadFile("/proc/self", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "/proc/self is a directory, not a file");
}

TEST(ReadFileTest, RefusesWhatIsTooLarge) {
  const absl::Status status = ReadFile(FileOf("large", "12345"), 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("larger than 4 bytes"));
  // It has no size to be judged by beforehand.
  EXPECT_FALSE(ReadFile("/dev/zero", 1 << 20).ok());
}

}  // namespace
}  // namespace vmm
