// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.h"

#include <gtest/gtest.h>

#include "vmm/base/sha256.h"

namespace vmm {
namespace {

TEST(LogTest, EachLineSaysWhoSpeaksAndHowBadItIs) {
  testing::internal::CaptureStderr();
  LogInfo("one {}");
  LogWarning("two");
  LogError("three");
  LogPlain("four");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "vmm: one {}\nvmm: warning: two\nvmm: error: three\nfour\n");
}

TEST(Sha256Test, IsTheDigestInHexadecimal) {
  const uint8_t abc[] = {'a', 'b', 'c'};  // FIPS 180-2, B.1.
  EXPECT_EQ(Sha256(abc),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace vmm
