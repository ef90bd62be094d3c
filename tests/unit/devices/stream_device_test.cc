// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/stream_device.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "vmm/devices/stream_abi.h"

namespace vmm {
namespace {

MmioAccess At(uint64_t offset, unsigned size) { return {0, offset, size}; }

class StreamDeviceTest : public testing::Test {
 protected:
  std::string sent_;
  size_t room_ = 65536;
  int ends_ = 0;
  StreamDevice stream_{StreamDevice::Host{
      .transmit =
          [this](absl::Span<const uint8_t> bytes) {
            sent_.append(bytes.begin(), bytes.end());
          },
      .room = [this] { return room_; },
      .end = [this] { ++ends_; },
  }};
};

TEST_F(StreamDeviceTest, AWordIsEightBytesLowOneFirst) {
  stream_.Write(At(STREAM_REG_WORD, 8), 0x6867666564636261);
  EXPECT_EQ(sent_, "abcdefgh");
}

TEST_F(StreamDeviceTest, TheRestGoesByteByByte) {
  stream_.Write(At(STREAM_REG_BYTE, 1), 'a');
  stream_.Write(At(STREAM_REG_BYTE, 1), 0);
  EXPECT_EQ(sent_, std::string("a\0", 2));
}

TEST_F(StreamDeviceTest, OtherStoresDoNothing) {
  for (uint64_t offset = 0; offset < 0x1000; ++offset) {
    for (const unsigned size : {1u, 2u, 4u, 8u}) {
      if (offset == STREAM_REG_WORD && size == 8) continue;
      if (offset == STREAM_REG_BYTE && size == 1) continue;
      if (offset == STREAM_REG_END && size == 4) continue;
      stream_.Write(At(offset, size), ~uint64_t{0});
    }
  }
  EXPECT_EQ(sent_, "");
  EXPECT_EQ(ends_, 0);
}

TEST_F(StreamDeviceTest, SaysThatBytesAreToBeRead) {
  stream_.Write(At(STREAM_REG_END, 4), 0);
  EXPECT_EQ(ends_, 1);
}

TEST_F(StreamDeviceTest, SaysHowMuchThereIsRoomFor) {
  EXPECT_EQ(stream_.Read(At(STREAM_REG_ROOM, 8)), 65536u);
  room_ = 0;
  EXPECT_EQ(stream_.Read(At(STREAM_REG_ROOM, 8)), 0u);
}

TEST_F(StreamDeviceTest, IdentifiesItself) {
  EXPECT_EQ(stream_.Read(At(STREAM_REG_MAGIC, 4)), uint32_t{STREAM_MAGIC});
  EXPECT_EQ(stream_.Read(At(STREAM_REG_VERSION, 4)), 1u);
  EXPECT_EQ(stream_.Read(At(STREAM_REG_MAGIC, 8)), 0u);
  EXPECT_EQ(stream_.Read(At(STREAM_REG_WORD, 8)), 0u);
}

}  // namespace
}  // namespace vmm
