// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "nlohmann/json.hpp"

namespace vmm {
namespace {

using nlohmann::json;

TEST(JsonTextTest, WhatIsNoUtf8IsReplacedAndTheRestStays) {
  const std::string text = JsonText({{"arm", "a\xff\u00e9\x1b"}});
  EXPECT_EQ(json::parse(text)["arm"], "a\ufffd\u00e9\x1b");
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << "for a terminal";
  EXPECT_EQ(text.back(), '\n');
}

TEST(JsonTextTest, WhatATerminalObeysIsEscaped) {
  const std::string value = "\x7f \u0080\u009b31m\u00a0\u00e9";
  const std::string text = JsonText({{"initrd", value}});
  EXPECT_NE(text.find("\\u007f \\u0080\\u009b31m\u00a0\u00e9\""),
            std::string::npos)
      << text;
  EXPECT_EQ(json::parse(text)["initrd"], value);
}

// Returns what Print() came to with stdout on `path`, and what it said.
std::pair<ExitCode, std::string> PrintTo(const char* path) {
  const int before = dup(STDOUT_FILENO);
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  dup2(file, STDOUT_FILENO);
  testing::internal::CaptureStderr();
  const ExitCode code = Print("text", ExitCode::kHostCannot);
  dup2(before, STDOUT_FILENO);
  close(file);
  close(before);
  return {code, testing::internal::GetCapturedStderr()};
}

TEST(PrintTest, AnAnswerThatIsLostHasACode) {
  EXPECT_EQ(PrintTo("/dev/null"),
            std::pair(ExitCode::kHostCannot, std::string()));
  EXPECT_EQ(PrintTo("/dev/full"),
            std::pair(ExitCode::kOutputLost,
                      std::string("vmm: error: cannot write stdout: No space "
                                  "left on device\n")));
}

}  // namespace
}  // namespace vmm
