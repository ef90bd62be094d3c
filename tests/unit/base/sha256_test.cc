// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/sha256.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace vmm {
namespace {

constexpr char kOfAbc[] =  // FIPS 180-2, B.1.
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kOfAMillion[] =  // FIPS 180-2, B.3: of the letter a.
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256Test, IsTheDigestInHexadecimal) {
  const std::vector<uint8_t> abc = {'a', 'b', 'c'};
  EXPECT_EQ(Sha256(abc), kOfAbc);
  EXPECT_EQ(Sha256(Content(abc)).value(), kOfAbc);
}

TEST(Sha256Test, ALargeContentIsReadInParts) {
  const std::vector<uint8_t> million(1'000'000, 'a');
  EXPECT_EQ(Sha256(million), kOfAMillion);
  EXPECT_EQ(Sha256(Content(million)).value(), kOfAMillion);
}

TEST(Sha256Test, OfNothingThereIsOneToo) {
  EXPECT_EQ(Sha256(Content()).value(), Sha256(absl::Span<const uint8_t>()));
}

}  // namespace
}  // namespace vmm
