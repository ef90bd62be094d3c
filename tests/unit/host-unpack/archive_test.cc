// SPDX-License-Identifier: Apache-2.0
#include "tools/host-unpack/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace host_unpack {
namespace {

using testing::Eq;
using testing::HasSubstr;
using testing::Optional;

// An archive in memory that comes in pieces of at most `piece` bytes.
class Pieces : public Source {
 public:
  Pieces(std::string text, size_t piece)
      : text_(std::move(text)), left_(text_), piece_(piece) {}

  std::span<const char> Next(size_t most) override {
    const std::string_view next = left_.substr(0, std::min(most, piece_));
    left_.remove_prefix(next.size());
    return next;
  }

 private:
  const std::string text_;
  std::string_view left_;
  const size_t piece_;
};

class UnpackTest : public testing::Test {
 protected:
  UnpackTest() { std::filesystem::create_directories(root_); }
  ~UnpackTest() override { std::filesystem::remove_all(root_); }

  std::optional<std::string> Unpacked(const std::string& archive,
                                      size_t piece = 1 << 20) {
    Pieces pieces(archive, piece);
    return Unpack(pieces, root_);
  }

  std::string Content(const std::string& path) const {
    std::ifstream file(root_ + "/" + path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  mode_t Mode(const std::string& path) const {
    struct stat status = {};
    EXPECT_EQ(stat((root_ + "/" + path).c_str(), &status), 0);
    return status.st_mode;
  }

  const std::string root_ =
      testing::TempDir() + "/" +
      testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST(HeaderTest, IsFourWordsOfWhichTheLastMayHaveSpaces) {
  EXPECT_THAT(
      ParseHeader("f 755 12 a/b c"),
      Optional(Header{
          .kind = Kind::kFile, .mode = 0755, .size = 12, .path = "a/b c"}));
  EXPECT_THAT(
      ParseHeader("d 700 0 x"),
      Optional(Header{.kind = Kind::kDirectory, .mode = 0700, .path = "x"}));
  EXPECT_THAT(ParseHeader("f 644 18446744073709551615 x")->size,
              Eq(18446744073709551615U));
}

TEST(HeaderTest, RefusesWhatIsNoRecord) {
  for (const char* line :
       {"", "f", "f 644", "f 644 1", "f 644 1 ", "x 644 1 a", "f 64x 1 a",
        "f 644 -1 a", "f 644 1x a", "f 644 18446744073709551616 a",
        "f 1000 1 a", "f 9 1 a", "d 755 1 a", "e 0 1 .", "ff 644 1 a"}) {
    EXPECT_EQ(ParseHeader(line), std::nullopt) << line;
  }
}

TEST(HeaderTest, RefusesPathsThatLeadElsewhere) {
  for (const char* path : {"/a", "..", "a/..", "a/../b", "../a", "a//b"}) {
    EXPECT_EQ(ParseHeader(std::string("f 644 0 ") + path), std::nullopt)
        << path;
  }
  EXPECT_EQ(ParseHeader(std::string_view("f 644 0 a\0b", 11)), std::nullopt);
  EXPECT_NE(ParseHeader("f 644 0 a..b/..c"), std::nullopt);
}

TEST_F(UnpackTest, MakesFilesAndDirectoriesWhateverThePieces) {
  const std::string large(5000, 'x');
  for (const size_t piece : {1U, 2U, 7U, 4096U, 1U << 20}) {
    EXPECT_EQ(
        Unpacked("d 755 0 a\nf 755 5 a/b\n1\n345f 600 0 c\nf 644 5000 d\n" +
                     large + "e 0 0 .\nignored",
                 piece),
        std::nullopt);
    EXPECT_EQ(Content("a/b"), "1\n345");
    EXPECT_EQ(Content("c"), "");
    EXPECT_EQ(Content("d"), large);
    EXPECT_EQ(Mode("a/b"), mode_t{S_IFREG | 0755});
    EXPECT_EQ(Mode("c"), mode_t{S_IFREG | 0600});
    EXPECT_EQ(Mode("a"), mode_t{S_IFDIR | 0755});
  }
}

TEST_F(UnpackTest, SaysWhereAnArchiveEndsEarly) {
  EXPECT_THAT(Unpacked(""), Optional(HasSubstr("ends early")));
  EXPECT_THAT(Unpacked("d 755 0 a\n"), Optional(HasSubstr("ends early")));
  EXPECT_THAT(Unpacked("e 0 0 ."), Optional(HasSubstr("ends early")));
  EXPECT_THAT(Unpacked("f 644 3 b\n12"),
              Optional(HasSubstr("/b: the archive ends early")));
}

TEST_F(UnpackTest, SaysWhatIsNoRecord) {
  EXPECT_THAT(Unpacked("d 755 0 a\nrubbish\n"),
              Optional(HasSubstr("not a record: rubbish")));
  EXPECT_THAT(Unpacked(std::string(kMaxLine + 100, 'f')),
              Optional(HasSubstr("not a record: ff")));
}

TEST_F(UnpackTest, SaysWhatCannotBeMade) {
  EXPECT_THAT(Unpacked("f 644 0 none/a\n"),
              Optional(HasSubstr("/none/a: No such file")));
  EXPECT_THAT(Unpacked("d 755 0 none/a\n"),
              Optional(HasSubstr("/none/a: No such file")));
  std::filesystem::create_symlink("/dev/null", root_ + "/link");
  EXPECT_THAT(Unpacked("f 644 0 link\n"), Optional(HasSubstr("/link: ")));
}

}  // namespace
}  // namespace host_unpack
