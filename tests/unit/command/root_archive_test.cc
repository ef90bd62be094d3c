// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/root_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Key;
using testing::UnorderedElementsAre;

// An entry of a cpio archive, newc.
struct Entry {
  uint64_t inode, mode, uid, gid, links;
  std::string content;
};

std::map<std::string, Entry> EntriesOf(const Content& archive) {
  const std::vector<uint8_t> bytes = archive.ReadAll().value();
  const std::string text(bytes.begin(), bytes.end());
  std::map<std::string, Entry> entries;
  for (size_t at = 0; at < text.size();) {
    EXPECT_EQ(text.substr(at, 6), "070701");
    const auto field = [&](size_t number) {
      return std::stoull(text.substr(at + 6 + 8 * number, 8), nullptr, 16);
    };
    const auto padded = [](size_t size) { return (size + 3) & ~size_t{3}; };
    const std::string name = text.substr(at + 110, field(11) - 1);
    const size_t begin = at + padded(110 + field(11));
    if (name == "TRAILER!!!") return entries;
    entries[name] = {field(0), field(1), field(2),
                     field(3), field(4), text.substr(begin, field(6))};
    at = begin + padded(field(6));
  }
  ADD_FAILURE() << "no trailer";
  return entries;
}

class RootArchiveTest : public testing::Test {
 protected:
  RootArchiveTest() : root_(ScratchPath("root")), file_(ScratchPath("file")) {
    fs::create_directories(fs::path(root_) / "sbin");
    Write("sbin/init", "#!/bin/sh\n");
    fs::permissions(fs::path(root_) / "sbin/init", fs::perms(0755));
    Write("wörld file", "hello");
    fs::create_hard_link(fs::path(root_) / "wörld file",
                         fs::path(root_) / "zweiter");
    fs::create_symlink("/sbin/init", fs::path(root_) / "link");
    Write("empty", "");
  }
  ~RootArchiveTest() override {
    fs::remove_all(root_);
    fs::remove(file_);
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(fs::path(root_) / name) << text;
  }
  // Packs the folder.
  void Pack(const std::string& command) const {
    ASSERT_EQ(std::system(absl::StrCat("cd '", root_, "' && ", command, " >'",
                                       file_, "'")
                              .c_str()),
              0);
  }
  static void ExpectAll(const RootArchive& root) {
    EXPECT_EQ(root.init, "/sbin/init");
    const auto entries = EntriesOf(root.archive);
    ASSERT_THAT(entries, UnorderedElementsAre(Key("sbin"), Key("sbin/init"),
                                              Key("wörld file"), Key("zweiter"),
                                              Key("link"), Key("empty")));
    EXPECT_EQ(entries.at("sbin/init").mode, uint64_t{S_IFREG | 0755});
    EXPECT_EQ(entries.at("sbin/init").content, "#!/bin/sh\n");
    EXPECT_EQ(entries.at("sbin/init").links, 1u);
    EXPECT_EQ(entries.at("link").content, "/sbin/init");
    EXPECT_TRUE(S_ISLNK(entries.at("link").mode));
    EXPECT_EQ(entries.at("empty").content, "");
    // Linux makes the second name a link where the numbers are the same, and
    // keeps what has been written.
    const Entry& one = entries.at("wörld file");
    const Entry& other = entries.at("zweiter");
    EXPECT_EQ(one.inode, other.inode);
    EXPECT_GE(one.links, 2u);
    EXPECT_GE(other.links, 2u);
    EXPECT_THAT(one.content + other.content, HasSubstr("hello"));
    EXPECT_NE(one.inode, entries.at("empty").inode);
  }

  const std::string root_;
  const std::string file_;
};

TEST_F(RootArchiveTest, AFolder) {
  const auto root = ReadRoot(root_);
  ASSERT_TRUE(root.ok()) << root.status();
  ExpectAll(*root);
  for (const auto& [name, entry] : EntriesOf(root->archive)) {
    EXPECT_EQ(entry.uid, 0u) << name;
    EXPECT_EQ(entry.gid, 0u) << name;
  }
}

TEST_F(RootArchiveTest, ALinkToAFolder) {
  fs::create_directory_symlink(root_, file_);
  const auto root = ReadRoot(file_);
  ASSERT_TRUE(root.ok()) << root.status();
  ExpectAll(*root);
}

TEST_F(RootArchiveTest, ATarArchive) {
  Pack("tar -cf - --owner 1 --group 2 .");
  const auto root = ReadRoot(file_);
  ASSERT_TRUE(root.ok()) << root.status();
  ExpectAll(*root);
  EXPECT_EQ(EntriesOf(root->archive).at("empty").uid, 1u);
  EXPECT_EQ(EntriesOf(root->archive).at("empty").gid, 2u);
}

TEST_F(RootArchiveTest, ATarArchiveOfEachCompression) {
  for (const std::string program : {"gzip", "bzip2", "xz", "zstd"}) {
    if (std::system(
            absl::StrCat("command -v ", program, " >/dev/null").c_str()) != 0) {
      continue;
    }
    SCOPED_TRACE(program);
    Pack(absl::StrCat("tar -cf - --format pax . | ", program));
    const auto root = ReadRoot(file_);
    ASSERT_TRUE(root.ok()) << root.status();
    ExpectAll(*root);
  }
}

TEST_F(RootArchiveTest, ACpioArchive) {
  const auto folder = ReadRoot(root_);
  ASSERT_TRUE(folder.ok()) << folder.status();
  const std::vector<uint8_t> bytes = folder->archive.ReadAll().value();
  std::ofstream(file_) << std::string(bytes.begin(), bytes.end());
  const auto root = ReadRoot(file_);
  ASSERT_TRUE(root.ok()) << root.status();
  ExpectAll(*root);
}

TEST_F(RootArchiveTest, HolesAreKept) {
  Write("hole", "x");
  fs::resize_file(fs::path(root_) / "hole", 100'000);
  const auto root = ReadRoot(root_);
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(EntriesOf(root->archive).at("hole").content,
            "x" + std::string(99'999, '\0'));
}

TEST_F(RootArchiveTest, WhatLiesBetweenHolesIsWhereItWas) {
  Write("holes", "x");
  fs::resize_file(fs::path(root_) / "holes", 1 << 20);
  std::ofstream(fs::path(root_) / "holes", std::ios::app) << "y";
  fs::resize_file(fs::path(root_) / "holes", 2 << 20);
  std::ofstream(fs::path(root_) / "holes", std::ios::app) << "z";
  std::string expected(size_t{2} << 20, '\0');
  expected[0] = 'x';
  expected[size_t{1} << 20] = 'y';
  expected += 'z';
  for (const char* const pack : {"tar -cf - --sparse --format gnu holes",
                                 "tar -cf - --sparse --format "
                                 "posix holes"}) {
    Pack(pack);
    const auto root = ReadRoot(file_);
    ASSERT_TRUE(root.ok()) << root.status();
    EXPECT_TRUE(EntriesOf(root->archive).at("holes").content == expected)
        << pack;
  }
}

// GNU tar's map of a sparse file may name a place that the file does not have:
// to fill it would take for ever.
TEST_F(RootArchiveTest, AHoleBeyondTheEndOfItsFileIsRefused) {
  Write("hole", "x");
  fs::resize_file(fs::path(root_) / "hole", 1 << 20);
  ASSERT_EQ(std::system(absl::StrCat("printf y >>'", root_, "/hole'").c_str()),
            0);
  Pack("tar -cf - --sparse --format gnu hole");
  ASSERT_TRUE(ReadRoot(file_).ok());
  std::fstream tar(file_, std::ios::in | std::ios::out | std::ios::binary);
  std::string header(512, '\0');
  tar.read(header.data(), 512);
  // The second of the map's offsets, in tar's form for large numbers.
  header.replace(410, 12, std::string("\x80\0\0\0\x10\0\0\0\0\0\0\0", 12));
  header.replace(148, 8, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<uint8_t>(c);
  header.replace(148, 8, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
  tar.seekp(0);
  tar.write(header.data(), 512);
  tar.close();
  const absl::Status status = ReadRoot(file_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            absl::StrCat("--rootfs ", file_,
                         " is damaged: a file has more bytes than it says; "
                         "make the archive again"));
}

// Linux unpacks nothing behind it.
TEST_F(RootArchiveTest, AFileWithTheNameThatEndsAnArchiveIsRefused) {
  Write("TRAILER!!!", "x");
  EXPECT_THAT(std::string(ReadRoot(root_).status().message()),
              HasSubstr("has a file TRAILER!!!, at which Linux stops"));
}

TEST_F(RootArchiveTest, TheFirstInitCounts) {
  Write("init", "");
  EXPECT_EQ(ReadRoot(root_)->init, "/init");
  fs::remove(fs::path(root_) / "init");
  fs::remove(fs::path(root_) / "sbin/init");
  EXPECT_EQ(ReadRoot(root_)->init, "");
}

TEST_F(RootArchiveTest, WhatIsNoRootIsRefused) {
  const auto refusal = [](const std::string& path) {
    const absl::Status status = ReadRoot(path).status();
    return absl::StrCat(status.code() == absl::StatusCode::kInvalidArgument,
                        " ", status.message());
  };
  std::ofstream(file_) << std::string(5000, 'x');
  EXPECT_EQ(refusal(file_),
            absl::StrCat("1 cannot read --rootfs ", file_,
                         ": Unrecognized archive format; it takes a folder, a "
                         "tar or a cpio archive"));
  std::ofstream(file_) << "";
  EXPECT_THAT(refusal(file_), HasSubstr("1 "));
  Pack("tar -cf - . | head -c 2000");
  EXPECT_THAT(refusal(file_), HasSubstr("1 cannot read --rootfs"));
  fs::remove_all(root_);
  fs::create_directory(root_);
  EXPECT_EQ(refusal(root_), absl::StrCat("1 --rootfs ", root_, " is empty"));
  fs::remove(file_);
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  EXPECT_THAT(refusal(file_), HasSubstr("1 --rootfs"));
  fs::remove(file_);
  std::ofstream(file_) << "";
  fs::create_directories(root_);
  for (const std::string name : {"a", "b", "c"}) {
    Write(name, "");
    fs::resize_file(fs::path(root_) / name, uint64_t{3} << 30);
  }
  EXPECT_THAT(refusal(root_), HasSubstr("more than 8 GiB"));
  EXPECT_EQ(ReadRoot("/nowhere").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RootArchiveTest, ADiskWithoutRoomIsTheHosts) {
  setenv("TMPDIR", "/nowhere", 1);
  const absl::Status status = ReadRoot(root_).status();
  unsetenv("TMPDIR");
  EXPECT_THAT(std::string(status.message()), HasSubstr("TMPDIR"));
}

}  // namespace
}  // namespace vmm
