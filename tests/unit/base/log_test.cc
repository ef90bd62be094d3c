// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace vmm
