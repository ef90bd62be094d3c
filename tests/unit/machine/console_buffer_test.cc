// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console_buffer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdint>
#include <string>
#include <vector>

namespace vmm {
namespace {

constexpr size_t kWakeAt = 256;  // As in console_buffer.cc.

class ConsoleBufferTest : public testing::Test {
 protected:
  void Put(const std::string& text) {
    for (const char c : text) buffer_.Put(static_cast<uint8_t>(c));
  }
  bool Readable() const {
    pollfd fd = {buffer_.fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 1;
  }
  ConsoleBuffer buffer_;
};

TEST_F(ConsoleBufferTest, ALineIsToldOf) {
  EXPECT_FALSE(Readable());
  Put("hello");
  EXPECT_FALSE(Readable());
  Put("\n");
  EXPECT_TRUE(Readable());
  EXPECT_EQ(buffer_.Take(), "hello\n");
  EXPECT_FALSE(Readable());
  EXPECT_EQ(buffer_.Take(), "");  // Whoever asks now and then is not kept.
}

TEST_F(ConsoleBufferTest, AGoodPartOfALineIsToldOf) {
  Put(std::string(kWakeAt - 1, 'x'));
  EXPECT_FALSE(Readable());
  Put("x");
  EXPECT_TRUE(Readable());
  EXPECT_EQ(buffer_.Take(), std::string(kWakeAt, 'x'));
}

TEST_F(ConsoleBufferTest, WhoSleepsIsToldOfTheNextByte) {
  EXPECT_TRUE(buffer_.Sleep());
  EXPECT_FALSE(Readable());
  Put("login: ");
  EXPECT_TRUE(Readable());
  EXPECT_FALSE(buffer_.Sleep()) << "There is something already.";
  EXPECT_EQ(buffer_.Take(), "login: ");
  Put("x");
  EXPECT_FALSE(Readable()) << "Nobody sleeps any more.";
}

TEST_F(ConsoleBufferTest, WhatIsFullDropsAndSaysSo) {
  Put(std::string(ConsoleBuffer::kCapacity - 1, 'x'));
  EXPECT_FALSE(buffer_.Full());
  Put("y");
  EXPECT_TRUE(buffer_.Full());
  Put("z");
  const std::string taken = buffer_.Take();
  EXPECT_EQ(taken.size(), ConsoleBuffer::kCapacity);
  EXPECT_EQ(taken.back(), 'y');
  EXPECT_FALSE(buffer_.Full());
}

TEST_F(ConsoleBufferTest, ManyBytesAreToldOfAtTheirEnd) {
  const std::vector<uint8_t> line = {'a', '\n', 'b'};
  buffer_.End();
  EXPECT_FALSE(Readable()) << "There is nothing.";
  EXPECT_TRUE(buffer_.Sleep());
  buffer_.PutMore(line);
  EXPECT_FALSE(Readable());
  buffer_.End();
  EXPECT_TRUE(Readable());
  EXPECT_EQ(buffer_.Take(), "a\nb");
  EXPECT_FALSE(Readable());
}

TEST_F(ConsoleBufferTest, WhatIsMuchIsToldOfBefore) {
  const std::vector<uint8_t> half(ConsoleBuffer::kCapacity / 2, 'x');
  buffer_.PutMore(half);
  EXPECT_TRUE(Readable());
}

TEST_F(ConsoleBufferTest, OfManyBytesThoseAreKeptThatThereIsRoomFor) {
  EXPECT_EQ(buffer_.Room(), ConsoleBuffer::kCapacity);
  Put(std::string(ConsoleBuffer::kCapacity - 2, 'x'));
  EXPECT_EQ(buffer_.Room(), 2u);
  const std::vector<uint8_t> more = {'a', 'b', 'c'};
  buffer_.PutMore(more);
  EXPECT_EQ(buffer_.Room(), 0u);
  buffer_.PutMore(more);
  const std::string taken = buffer_.Take();
  EXPECT_EQ(taken.size(), ConsoleBuffer::kCapacity);
  EXPECT_EQ(taken.substr(taken.size() - 3), "xab");
}

TEST_F(ConsoleBufferTest, NoProgramThatIsStartedGetsIt) {
  EXPECT_NE(fcntl(buffer_.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

}  // namespace
}  // namespace vmm
