// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/content.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

class ContentTest : public testing::Test {
 protected:
  ContentTest() { std::ofstream(path_) << "content"; }
  ~ContentTest() override { unlink(path_.c_str()); }
  Content Opened() const { return Content::Open(path_, 7).value(); }

  const std::string path_ = ScratchPath("content");
};

std::string Part(const Content& content, uint64_t offset, size_t size) {
  Bytes bytes(size, '?');
  EXPECT_TRUE(content.ReadAt(offset, absl::MakeSpan(bytes)).ok());
  return {bytes.begin(), bytes.end()};
}

TEST_F(ContentTest, IsReadAnywhereAndTwice) {
  for (const Content& content :
       {Opened(), Content(Bytes{'c', 'o', 'n', 't', 'e', 'n', 't'})}) {
    EXPECT_EQ(content.size(), 7u);
    EXPECT_FALSE(content.empty());
    EXPECT_EQ(Part(content, 3, 4), "tent");
    EXPECT_EQ(Part(content, 0, 7), "content");
    EXPECT_EQ(Part(content, 7, 0), "");
    const Content copy = content;
    EXPECT_EQ(copy.ReadAll().value(), content.ReadAll().value());
  }
}

TEST_F(ContentTest, JoinedPartsReadAsOne) {
  const Content joined = Content::Join(
      {Content(Bytes{'a'}), Content(), Opened(), Content(Bytes{'z', '!'})});
  ASSERT_EQ(joined.size(), 10u);
  for (uint64_t from = 0; from <= 10; ++from) {
    for (size_t size = 0; size <= 10 - from; ++size) {
      EXPECT_EQ(Part(joined, from, size),
                std::string("acontentz!").substr(from, size));
    }
  }
  Bytes bytes(2);
  EXPECT_EQ(joined.ReadAt(9, absl::MakeSpan(bytes)),
            absl::OutOfRangeError("2 bytes from 9 on are not in 10"));
  EXPECT_TRUE(Content::Join({}).empty());
  EXPECT_EQ(Part(Content::Join({Content()}), 0, 0), "");
}

TEST_F(ContentTest, WhatIsNotThereIsOutOfRange) {
  for (const Content& content : {Opened(), Content(Bytes(7)), Content()}) {
    Bytes bytes(1);
    for (const uint64_t offset : {uint64_t{7}, ~uint64_t{0}}) {
      EXPECT_EQ(content.ReadAt(offset, absl::MakeSpan(bytes)).code(),
                absl::StatusCode::kOutOfRange);
    }
    bytes.resize(8);
    EXPECT_EQ(content.ReadAt(0, absl::MakeSpan(bytes)).code(),
              absl::StatusCode::kOutOfRange);
  }
}

TEST_F(ContentTest, NoneIsEmpty) {
  EXPECT_TRUE(Content().empty());
  EXPECT_TRUE(Content().ReadAll().value().empty());
}

TEST_F(ContentTest, AFileThatIsCutShortLaterIsAnErrorAndNoSignal) {
  const Content content = Opened();
  ASSERT_EQ(truncate(path_.c_str(), 3), 0);
  errno = EINTR;  // Of an earlier call.
  const absl::Status status = content.ReadAll().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), absl::StrCat(path_,
                                           " was cut short while it was "
                                           "read; run again"));
}

TEST_F(ContentTest, AFileThatIsReplacedIsStillTheOld) {
  const Content content = Opened();
  unlink(path_.c_str());
  std::ofstream(path_) << "another";
  EXPECT_EQ(Part(content, 0, 7), "content");
}

TEST_F(ContentTest, APipeIsReadWhole) {
  const std::string pipe = ScratchPath("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&pipe] { std::ofstream(pipe) << "piped"; });
  const auto content = Content::Open(pipe, 5);
  writer.join();
  unlink(pipe.c_str());
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(Part(*content, 0, 5), "piped");
}

// faults.md B11.
TEST_F(ContentTest, APipeThatNobodyWritesIsNotWaitedForForEver) {
  const std::string pipe = ScratchPath("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(Content::Open(pipe, 5).status(),
            absl::InvalidArgumentError("cannot read " + pipe +
                                       ": waited 5 s for its writer; write "
                                       "what it holds to a file first"));
  unlink(pipe.c_str());
}

// A device that never ends.
TEST_F(ContentTest, AStreamIsReadUpToTheMost) {
  EXPECT_EQ(
      Content::Open("/dev/zero", 1 << 20).status(),
      absl::InvalidArgumentError("/dev/zero is larger than 1048576 bytes"));
}

TEST_F(ContentTest, AFileOfTheKernelHasMoreThanItSays) {
  const auto content = Content::Open("/proc/self/stat", 1 << 20);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(Part(*content, 0, 1), absl::StrCat(getpid()).substr(0, 1));
}

TEST_F(ContentTest, NamesAFileThatCannotBeOpened) {
  const absl::Status status = Content::Open("/nowhere/Image", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/Image"));
  EXPECT_EQ(Content::Open("/proc/self", 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ContentTest, AFileMayBeLargerThanFourGigabytes) {
  constexpr uint64_t kSize = (uint64_t{1} << 32) + 7;
  ASSERT_EQ(truncate(path_.c_str(), kSize), 0);  // It holds no blocks.
  EXPECT_EQ(Content::Open(path_, kSize).value().size(), kSize);
  EXPECT_FALSE(Content::Open(path_, kSize - 1).ok());
}

TEST_F(ContentTest, RefusesWhatIsTooLarge) {
  EXPECT_EQ(Content::Open(path_, 6).status().message(),
            absl::StrCat(path_, " is larger than 6 bytes"));
  EXPECT_FALSE(Content::Open("/dev/zero", 6).ok());
}

}  // namespace
}  // namespace vmm
