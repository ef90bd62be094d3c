// SPDX-License-Identifier: Apache-2.0
#include "fdt/tree_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/tree_view.h"

namespace fdt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<uint8_t> Finished(TreeWriter& tree) {
  absl::StatusOr<std::vector<uint8_t>> blob = std::move(tree).Finish();
  EXPECT_TRUE(blob.ok()) << blob.status();
  return *std::move(blob);
}

TEST(TreeWriterTest, WritesEveryKindOfProperty) {
  TreeWriter tree;
  tree.Node("", [&] {
    tree.Flag("flag");
    tree.Cells("cells", {1, 0x80000000});
    tree.U64("u64", 0x1122334455667788);
    tree.Reg({{0x100000000, 0x1000}, {2, 3}});
    tree.String("string", "one");
    tree.Strings("strings", {"one", "", "three"});
    tree.Bytes("bytes", {0xfe, 0x00, 0x01});
  });
  const TreeView view(Finished(tree));
  EXPECT_THAT(view.Bytes("/", "flag"), IsEmpty());
  EXPECT_THAT(view.Cells("/", "cells"), ElementsAre(1, 0x80000000));
  EXPECT_THAT(view.Cells("/", "u64"), ElementsAre(0x11223344, 0x55667788));
  EXPECT_THAT(view.Cells("/", "reg"), ElementsAre(1, 0, 0, 0x1000, 0, 2, 0, 3));
  EXPECT_THAT(view.Strings("/", "string"), ElementsAre("one"));
  EXPECT_THAT(view.Strings("/", "strings"), ElementsAre("one", "", "three"));
  EXPECT_THAT(view.Bytes("/", "bytes"), ElementsAre(0xfe, 0x00, 0x01));
}

TEST(TreeWriterTest, NodesNestAndCloseThemselves) {
  TreeWriter tree;
  tree.Node("", [&] {
    tree.Node("a", [&] { tree.Node("b", [&] { tree.Flag("deep"); }); });
    tree.Node("c", [] {});
  });
  const TreeView view(Finished(tree));
  EXPECT_THAT(view.Children("/"), ElementsAre("a", "c"));
  EXPECT_TRUE(view.Has("/a/b", "deep"));
  EXPECT_THAT(view.Children("/c"), IsEmpty());
}

TEST(TreeWriterTest, BlobIsAsLongAsItSays) {
  TreeWriter tree;
  tree.Node("", [] {});
  const std::vector<uint8_t> blob = Finished(tree);
  EXPECT_LT(blob.size(), 100u);
}

TEST(TreeWriterTest, GrowsAndLosesNothing) {
  constexpr uint32_t kNodes = 5000;
  TreeWriter tree;
  tree.Node("", [&] {
    for (uint32_t i = 0; i < kNodes; ++i) {
      tree.Node(absl::StrCat("node", i),
                [&] { tree.Cells(absl::StrCat("name", i % 100), {i}); });
    }
  });
  const TreeView view(Finished(tree));
  EXPECT_EQ(view.Children("/").size(), kNodes);
  EXPECT_THAT(view.Cells("/node0", "name0"), ElementsAre(0));
  EXPECT_THAT(view.Cells("/node4999", "name99"), ElementsAre(4999));
}

TEST(TreeWriterTest, OnePropertyMayBeMuchLargerThanTheFirstBuffer) {
  const std::vector<uint8_t> bytes(kMaxTreeBytes - 4096, 0x5a);
  TreeWriter tree;
  tree.Node("", [&] { tree.Bytes("big", bytes); });
  EXPECT_EQ(TreeView(Finished(tree)).Bytes("/", "big"), bytes);
}

TEST(TreeWriterTest, FirstErrorSticks) {
  for (const size_t size : {kMaxTreeBytes, kMaxTreeBytes + 1}) {
    const std::vector<uint8_t> bytes(size);
    TreeWriter tree;
    tree.Node("", [&] {
      tree.Bytes("big", bytes);
      tree.Flag("ignored");
    });
    const auto blob = std::move(tree).Finish();
    EXPECT_EQ(blob.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(blob.status().message(), HasSubstr("larger than 2 MiB"));
  }
}

}  // namespace
}  // namespace fdt
