// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tools/guest/init/command_file.h"

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using Bytes = std::vector<uint8_t>;

struct Node {
  std::string path;
  mode_t mode;
  std::string content;
};

uint64_t Field(absl::string_view header, size_t number) {
  const std::string text(header.substr(6 + 8 * number, 8));
  return std::strtoull(text.c_str(), nullptr, 16);
}

size_t Padded(size_t size) { return (size + 3) / 4 * 4; }

// Reads an archive as Documentation/driver-api/early-userspace/
// buffer-format.rst has it.
std::vector<Node> NodesOf(const Content& archive) {
  const Bytes bytes = archive.ReadAll().value();
  const std::string text(bytes.begin(), bytes.end());
  std::vector<Node> nodes;
  for (size_t at = 0; at < text.size();) {
    const absl::string_view header = absl::string_view(text).substr(at, 110);
    EXPECT_EQ(header.substr(0, 6), "070701");
    const size_t name_bytes = Field(header, 11);
    const size_t content_at = at + Padded(110 + name_bytes);
    const size_t size = Field(header, 6);
    nodes.push_back({text.substr(at + 110, name_bytes - 1),
                     static_cast<mode_t>(Field(header, 1)),
                     text.substr(content_at, size)});
    at = content_at + Padded(size);
  }
  return nodes;
}

Bytes BytesOf(absl::string_view text) { return {text.begin(), text.end()}; }

TEST(CommandArchive, HoldsWhatRunsACommand) {
  const GuestCommand command = {.words = {"sh", "-c", "a 'b'\n\"c\""},
                                .environment = {"A=1", "B=x\ny", "EMPTY="},
                                .terminal = true};
  const Content archive =
      CommandArchive(command, BytesOf("init"), {Content(BytesOf("kernel"))});
  const auto nodes = NodesOf(archive);
  ASSERT_EQ(nodes.size(), 5u);
  EXPECT_EQ(nodes[0].path, ".parkvmm");
  EXPECT_EQ(nodes[0].mode, S_IFDIR | 0755u);
  EXPECT_THAT(nodes[1], FieldsAre(".parkvmm/init", S_IFREG | 0755u, "init"));
  EXPECT_EQ(nodes[2].path, ".parkvmm/command");
  EXPECT_THAT(nodes[3], FieldsAre(".parkvmm/Image", S_IFREG | 0600u, "kernel"));
  EXPECT_EQ(nodes[4].path, "TRAILER!!!");
  EXPECT_EQ(archive.size() % 4, 0u);

  // What the guest reads of it.
  const auto read = guest_init::ParseCommandFile(nodes[2].content);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->terminal);
  EXPECT_EQ(read->words, command.words);
  EXPECT_EQ(read->environment, command.environment);
}

// As `find | cpio -o -H newc` of root's has it, but for the time.
TEST(CommandArchive, HasTheHeadersOfAnyOther) {
  const Bytes bytes = CommandArchive({.words = {"true"}}, BytesOf("init"), {})
                          .ReadAll()
                          .value();
  const std::string text(bytes.begin(), bytes.end());
  const std::string zero(8, '0');
  const auto header = [&](const char* inode, const char* mode,
                          const char* links, const char* size,
                          const char* name_bytes) {
    return absl::StrCat("070701", inode, mode, zero, zero, links, zero, size,
                        zero, zero, zero, zero, name_bytes, zero);
  };
  EXPECT_EQ(text.substr(0, 110),
            header("00000001", "000041ed", "00000002", "00000000", "00000009"));
  EXPECT_EQ(text.substr(Padded(110 + 9), 110),
            header("00000002", "000081ed", "00000001", "00000004", "0000000e"));
  const size_t trailer = text.size() - Padded(110 + 11);
  EXPECT_EQ(text.substr(trailer, 110),
            header("00000004", "00000000", "00000001", "00000000", "0000000b"));
  EXPECT_EQ(text.substr(trailer + 110), std::string("TRAILER!!!\0\0\0\0", 14));
}

TEST(CommandArchive, HasNoKernelUnlessItIsToKexec) {
  const auto nodes =
      NodesOf(CommandArchive({.words = {"true"}}, BytesOf("init"), {}));
  ASSERT_EQ(nodes.size(), 4u);
  const auto read = guest_init::ParseCommandFile(nodes[2].content);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->terminal);
  EXPECT_THAT(read->words, ElementsAre("true"));
}

TEST(CommandArchive, KernelsThatTakeTurnsHaveAPlan) {
  const auto nodes = NodesOf(
      CommandArchive({.words = {"true"}}, BytesOf("init"),
                     {Content(BytesOf("one")), Content(BytesOf("two"))}));
  ASSERT_EQ(nodes.size(), 7u);
  EXPECT_THAT(nodes[3], FieldsAre(".parkvmm/Image1", S_IFREG | 0600u, "one"));
  EXPECT_THAT(nodes[4], FieldsAre(".parkvmm/Image2", S_IFREG | 0600u, "two"));
  EXPECT_THAT(nodes[5], FieldsAre(".parkvmm/plan", S_IFREG | 0600u,
                                  "/.parkvmm/Image1\n/.parkvmm/Image2\n"));
}

TEST(CheckInitramfs, KnowsWhatLinuxUnpacks) {
  for (const absl::string_view known :
       {"070701000", "070702000", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd\x04",
        "\xfd\x37zXZ", "BZh9", "\x02\x21\x4c\x18"}) {
    EXPECT_TRUE(CheckInitramfs(Content(BytesOf(known))).ok()) << known;
  }
  EXPECT_TRUE(CheckInitramfs(Content(Bytes{0x5d, 0, 0, 0})).ok());  // LZMA
  // An ext2 file system begins with zeros; and there is less than a magic.
  for (const Bytes& other : {Bytes(2048), Bytes{'0', '7'}, Bytes()}) {
    EXPECT_EQ(CheckInitramfs(Content(other)).code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace vmm
