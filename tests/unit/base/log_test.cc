// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

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

TEST(LogTest, WhatATerminalWouldObeyIsShown) {
  testing::internal::CaptureStderr();
  LogInfo("a\x1b[2Jb\nvmm: error: c");
  LogWarning("\xff");
  LogPlain("\x1b]0;\x07\n  | \u00e9");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "vmm: a\\x1b[2Jb\\x0avmm: error: c\n"
            "vmm: warning: \\xff\n"
            "\\x1b]0;\\x07\n  | \u00e9\n");
}

// In a process of its own, because it lasts.
void LoseStderr() {
  const int before = dup(STDERR_FILENO);
  dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
  LogError("lost");
  dup2(before, STDERR_FILENO);
  LogError("after");
  const std::string why(LogStatus().message());
  dprintf(STDERR_FILENO, "%s", why.c_str());
  _exit(0);
}

TEST(LogTest, OnceStderrTakesNoMoreThatIsKnown) {
  EXPECT_TRUE(LogStatus().ok());
  EXPECT_EXIT(LoseStderr(), testing::ExitedWithCode(0),
              "^cannot write stderr: No space left on device$");
}

}  // namespace
}  // namespace vmm
