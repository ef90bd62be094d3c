// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/writable_blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kBase = 0x40800000;
constexpr uint64_t kHostPage = 4096;

GuestAddress Block(uint64_t number) {
  return GuestAddress(kBase + number * kHostPage);
}

GuestRange Window(uint64_t bytes) {
  return *GuestRange::Make(GuestAddress(kBase), bytes);
}

BlockMap::Set SetOf(std::initializer_list<size_t> blocks) {
  BlockMap::Set set;
  for (const size_t block : blocks) set.set(block);
  return set;
}

TEST(BlockMapTest, ABlockIsAPageOfTheHost) {
  const BlockMap map(Window(8 * kHostPage), kHostPage);
  EXPECT_EQ(map.count(), 8u);
  EXPECT_EQ(map.all().count(), 8u);
  EXPECT_EQ(map.BlockOf(Block(0)), 0u);
  EXPECT_EQ(map.BlockOf(GuestAddress(kBase + 8 * kHostPage - 1)), 7u);
  EXPECT_TRUE(map.Contains(Block(7)));
  EXPECT_FALSE(map.Contains(Block(8)));
}

TEST(BlockMapTest, ALargeWindowHasNoMoreBlocksThanASetHolds) {
  constexpr uint64_t kLargest = BlockMap::kMaxBlocks * kHostPage;
  EXPECT_EQ(BlockMap(Window(kLargest), kHostPage).count(),
            BlockMap::kMaxBlocks);
  const BlockMap map(Window(2 * kLargest), kHostPage);
  EXPECT_EQ(map.count(), BlockMap::kMaxBlocks);
  EXPECT_EQ(map.BlockOf(Block(1)), 0u);
  EXPECT_EQ(map.BlockOf(Block(2)), 1u);
}

TEST(BlockMapTest, NeighboursAreOneRange) {
  const BlockMap map(Window(8 * kHostPage), kHostPage);
  EXPECT_THAT(map.RangesOf({}), IsEmpty());
  EXPECT_THAT(map.RangesOf(SetOf({0, 1, 2, 5, 7})),
              ElementsAre(*GuestRange::Make(Block(0), 3 * kHostPage),
                          *GuestRange::Make(Block(5), kHostPage),
                          *GuestRange::Make(Block(7), kHostPage)));
  EXPECT_THAT(map.RangesOf(map.all()), ElementsAre(Window(8 * kHostPage)));
}

class WritableBlocksTest : public testing::Test {
 protected:
  const BlockMap map_{Window(4 * kHostPage), kHostPage};
  WritableBlocks blocks_{map_};
};

TEST_F(WritableBlocksTest, WhoeverFillsPagesGetsAllAtOnce) {
  EXPECT_TRUE(blocks_.NoneWritable());
  EXPECT_EQ(blocks_.ToOpen(Block(2)), map_.all());
  EXPECT_EQ(blocks_.ToOpen(std::nullopt), map_.all());
}

TEST_F(WritableBlocksTest, WhoeverWipesOnePageGetsThatOne) {
  blocks_.Occupy(Block(1));
  EXPECT_EQ(blocks_.ToOpen(Block(2)), SetOf({2}));
}

TEST_F(WritableBlocksTest, TheSecondPageOpensWhatIsVacant) {
  blocks_.Occupy(Block(1));
  blocks_.Open(SetOf({2}));
  EXPECT_EQ(blocks_.ToOpen(Block(3)), SetOf({0, 3}));
}

TEST_F(WritableBlocksTest, AStoreWhoseTargetIsNotKnownOpensWhatIsVacant) {
  blocks_.Occupy(Block(1));
  EXPECT_EQ(blocks_.ToOpen(std::nullopt), SetOf({0, 2, 3}));
  EXPECT_EQ(blocks_.ToOpen(GuestAddress(kBase - 8)), SetOf({0, 2, 3}));
}

TEST_F(WritableBlocksTest, AStoreToAnOccupiedPageOpensWhatIsVacant) {
  blocks_.Occupy(Block(1));
  EXPECT_EQ(blocks_.ToOpen(Block(1)), SetOf({0, 2, 3}));
}

TEST_F(WritableBlocksTest, ABlockIsOccupiedUntilItsLastCpuLeaves) {
  blocks_.Occupy(Block(1));
  blocks_.Occupy(GuestAddress(kBase + kHostPage + 64));
  blocks_.Vacate(Block(1));
  EXPECT_FALSE(blocks_.ToOpen(std::nullopt).test(1));
  blocks_.Vacate(Block(1));
  EXPECT_TRUE(blocks_.ToOpen(std::nullopt).test(1));
}

TEST_F(WritableBlocksTest, WhatIsClosedIsNotWritable) {
  blocks_.Open(SetOf({0, 1}));
  EXPECT_EQ(blocks_.writable(), SetOf({0, 1}));
  EXPECT_EQ(blocks_.NotWritable(), SetOf({2, 3}));
  blocks_.Close(SetOf({0}));
  EXPECT_EQ(blocks_.writable(), SetOf({1}));
  EXPECT_FALSE(blocks_.NoneWritable());
}

}  // namespace
}  // namespace vmm
