// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/decompress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

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
  absl::StatusOr<Bytes> (*unpack)(absl::Span<const uint8_t>, uint64_t);
};

void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

class DecompressTest : public testing::TestWithParam<Format> {
 protected:
  static Bytes Pack(const Bytes& bytes) { return GetParam().pack(bytes); }
  static absl::StatusOr<Bytes> Unpack(const Bytes& bytes, uint64_t limit) {
    return GetParam().unpack(bytes, limit);
  }
};

TEST_P(DecompressTest, UnpacksUpToTheLimit) {
  for (const size_t size : {0u, 1u, 65535u, 65536u, 65537u, 1'000'000u}) {
    const Bytes content = Noise(size);
    const auto unpacked = Unpack(Pack(content), size);
    ASSERT_TRUE(unpacked.ok()) << unpacked.status();
    EXPECT_EQ(*unpacked, content);
  }
}

TEST_P(DecompressTest, RefusesOneByteMore) {
  for (const size_t size : {1u, 65536u, 65537u, 1'000'000u}) {
    const absl::Status status = Unpack(Pack(Bytes(size)), size - 1).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << size;
  }
}

TEST_P(DecompressTest, SeesThatAStreamEndsEarly) {
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

TEST_P(DecompressTest, SeesDamage) {
  const absl::Status status = Unpack(Noise(1000), 1 << 20).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is damaged"));
}

TEST_P(DecompressTest, IgnoresWhatFollows) {
  const Bytes content = Noise(1000);
  Bytes packed = Pack(content);
  packed.insert(packed.end(), {1, 2, 3, 4});
  const auto unpacked = Unpack(packed, 1000);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(*unpacked, content);
}

INSTANTIATE_TEST_SUITE_P(Formats, DecompressTest,
                         testing::Values(Format{"Gzip", Gzipped, Gunzip},
                                         Format{"Zstd", Zstandard, Unzstd}),
                         [](const auto& instance) {
                           return instance.param.name;
                         });

}  // namespace
}  // namespace vmm
