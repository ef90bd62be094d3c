// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/decompress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <initializer_list>
#include <ostream>
#include <string>

#include "tests/support/memory_use.h"
#include "tests/support/packing.h"

namespace vmm {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

// Does not pack well, so that cutting its stream cuts content.
Bytes Noise(size_t size) {
  Bytes bytes(size);
  uint32_t state = 1;
  for (uint8_t& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return bytes;
}

struct Format {
  const char* name;
  Bytes (*pack)(const Bytes&);
  absl::StatusOr<Bytes> (*unpack)(absl::Span<const uint8_t>, uint64_t, Tail);
};

void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

class DecompressFormatTest : public testing::TestWithParam<Format> {
 protected:
  static Bytes Pack(const Bytes& bytes) { return GetParam().pack(bytes); }
  static absl::StatusOr<Bytes> Unpack(const Bytes& bytes, uint64_t limit,
                                      Tail tail = Tail::kRefused) {
    return GetParam().unpack(bytes, limit, tail);
  }
};

TEST_P(DecompressFormatTest, UnpacksUpToTheLimit) {
  for (const size_t size : {0u, 1u, 65535u, 65536u, 65537u, 1'000'000u}) {
    const Bytes content = Noise(size);
    const auto unpacked = Unpack(Pack(content), size);
    ASSERT_TRUE(unpacked.ok()) << unpacked.status();
    EXPECT_EQ(*unpacked, content);
  }
}

TEST_P(DecompressFormatTest, RefusesOneByteMore) {
  for (const size_t size : {1u, 65536u, 65537u, 1'000'000u}) {
    const absl::Status status = Unpack(Pack(Bytes(size)), size - 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << size;
  }
}

TEST_P(DecompressFormatTest, WhatIsRefusedTakesNoMemory) {
  const Bytes packed = Pack(Bytes(size_t{128} << 20));
  const auto unpack = [&] {
    bool refused = false;
    const bool small = TakesLessThan(
        64, [&] { refused = !Unpack(packed, uint64_t{1} << 20).ok(); });
    exit(small && refused ? 0 : 1);
  };
  EXPECT_EXIT(unpack(), testing::ExitedWithCode(0), "");
}

TEST_P(DecompressFormatTest, SeesThatAStreamEndsEarly) {
  const Bytes packed = Pack(Noise(100'000));
  for (const size_t missing : {size_t{1}, size_t{4}, packed.size() / 2,
                               packed.size() - 5, packed.size()}) {
    const Bytes cut(packed.begin(), packed.end() - ptrdiff_t(missing));
    const absl::Status status = Unpack(cut, 1 << 20).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << missing;
    EXPECT_THAT(std::string(status.message()), HasSubstr("ends early"))
        << missing;
  }
}

TEST_P(DecompressFormatTest, SeesDamage) {
  const absl::Status status = Unpack(Noise(1000), 1 << 20).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is damaged"));
}

TEST_P(DecompressFormatTest, B12WhatFollowsIsRefusedUnlessItIsIgnored) {
  const Bytes content = Noise(1000);
  for (const Bytes& tail : {Bytes{1, 2, 3, 4}, Bytes{0, 0, 0, 0, 1},
                            Bytes{0x1f}, Bytes{0x28, 0xb5, 0x2f}}) {
    Bytes packed = Pack(content);
    packed.insert(packed.end(), tail.begin(), tail.end());
    const absl::Status status = Unpack(packed, 1000).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("stream is followed by something else; "));
    const auto unpacked = Unpack(packed, 1000, Tail::kIgnored);
    ASSERT_TRUE(unpacked.ok()) << unpacked.status();
    EXPECT_EQ(*unpacked, content);
  }
}

Bytes Joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST_P(DecompressFormatTest, B12UnpacksSeveralStreamsToTheEnd) {
  // The first room for output is 64 KiB.
  for (const size_t size : {1u, 65535u, 65536u, 65537u, 300'000u}) {
    const Bytes one = Noise(size);
    const Bytes content = Joined({one, {}, one, Bytes(100), one});
    const Bytes packed =
        Joined({Pack(one), Pack({}), Pack(one), Pack(Bytes(100)), Pack(one)});
    for (const Tail tail : {Tail::kRefused, Tail::kIgnored}) {
      const auto unpacked = Unpack(packed, content.size(), tail);
      ASSERT_TRUE(unpacked.ok()) << unpacked.status();
      EXPECT_EQ(*unpacked, content);
    }
    EXPECT_EQ(Unpack(packed, content.size() - 1).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST_P(DecompressFormatTest, B12SeesThatALaterStreamEndsEarlyOrIsDamaged) {
  const Bytes one = Pack(Noise(100'000));
  Bytes packed = Joined({one, one});
  for (const size_t missing :
       {size_t{1}, size_t{4}, one.size() / 2, one.size() - 5}) {
    const Bytes cut(packed.begin(), packed.end() - ptrdiff_t(missing));
    EXPECT_THAT(std::string(Unpack(cut, 1 << 20).status().message()),
                HasSubstr("ends early"))
        << missing;
  }
  // The first byte after a magic says which format, or which fields, follow.
  packed[one.size() + (one[0] == 0x1f ? 2 : 4)] ^= 0xff;
  EXPECT_THAT(std::string(Unpack(packed, 1 << 20).status().message()),
              HasSubstr("is damaged"));
}

TEST(DecompressTest, B12ZerosMayFillUpAGzipFile) {
  const Bytes content = Noise(1000);
  const auto unpacked =
      Gunzip(Joined({Gzipped(content), Gzipped(content), Bytes(511)}), 2000);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(*unpacked, Joined({content, content}));
  // As of gzip -dc: no stream follows zeros.
  EXPECT_FALSE(
      Gunzip(Joined({Gzipped(content), Bytes(3), Gzipped(content)}), 2000)
          .ok());
}

TEST(DecompressTest, B12AFrameThatZstdSkipsHasNoContent) {
  const Bytes content = Noise(1000);
  const Bytes skipped = {0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3};
  const auto unpacked = Unzstd(
      Joined({skipped, Zstandard(content), skipped, Zstandard(content)}), 2000);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(*unpacked, Joined({content, content}));
}

INSTANTIATE_TEST_SUITE_P(Formats, DecompressFormatTest,
                         testing::Values(Format{"Gzip", Gzipped, Gunzip},
                                         Format{"Zstd", Zstandard, Unzstd}),
                         [](const auto& instance) {
                           return instance.param.name;
                         });

}  // namespace
}  // namespace vmm
