// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/bisect.h"

#include <gtest/gtest.h>

#include <utility>

namespace vmm {
namespace {

TEST(BisectTest, ACommitIsBadIfTheGuestDidSomethingWrong) {
  const std::pair<ExitCode, ExitCode> codes[] = {
      {ExitCode::kOk, kBisectGood},
      {ExitCode::kVerdict, kBisectBad},
      {ExitCode::kGuestPanic, kBisectBad},
      {ExitCode::kBootTimeout, kBisectBad},
      {ExitCode::kCpuStuck, kBisectBad},
      {ExitCode::kUnexpectedReset, kBisectBad},
      {ExitCode::kTimeout, kBisectBad},
      {ExitCode::kHostCannot, kBisectSkip},
      {ExitCode::kVmmBug, kBisectSkip},
      {ExitCode::kSandbox, kBisectSkip},
      {ExitCode::kOutputLost, kBisectSkip},
      {ExitCode::kSkipped, kBisectSkip},
      {ExitCode::kUsage, kBisectAbort},
      {ExitCode::kInterrupted, kBisectAbort}};
  for (const auto& [code, bisect] : codes) {
    EXPECT_EQ(BisectCode(code), bisect) << static_cast<int>(code);
    EXPECT_EQ(BisectCode(Conclusion{.code = code, .id = "x"}), bisect);
  }
}

// git takes 126 and 127 for bad, and stops at 128 and above.
TEST(BisectTest, ACommandsStatusIsBadWhateverItIsBut125) {
  for (const int status : {1, 2, 69, 74, 124, 126, 127, 130, 255}) {
    const Conclusion failed = {.code = ExitCode{status},
                               .id = "command-failed"};
    EXPECT_EQ(BisectCode(failed), kBisectBad) << status;
  }
  EXPECT_EQ(BisectCode({.code = ExitCode{125}, .id = "command-failed"}),
            kBisectSkip);
  EXPECT_EQ(BisectCode({.code = ExitCode{127}, .id = "command-not-run"}),
            kBisectSkip);
}

}  // namespace
}  // namespace vmm
