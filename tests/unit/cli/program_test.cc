// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include "vmm/run/exit_code.h"

namespace vmm {
namespace {

int SayVersion() {
  const char* const words[] = {"vmm", "--version"};
  return RunProgram(2, words);
}

TEST(ProgramTest, RunsTheCommandLine) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(SayVersion(), 0);
  EXPECT_EQ(testing::internal::GetCapturedStdout().substr(0, 4), "vmm ");
  const char* const words[] = {"vmm", "--no-such-option"};
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunProgram(2, words), static_cast<int>(ExitCode::kUsage));
  testing::internal::GetCapturedStderr();
}

TEST(ProgramTest, AReaderThatWentAwayIsNoReasonToDie) {
  testing::internal::CaptureStdout();
  SayVersion();
  testing::internal::GetCapturedStdout();
  for (const int signal : {SIGPIPE, SIGXFSZ}) {
    struct sigaction action = {};
    ASSERT_EQ(sigaction(signal, nullptr, &action), 0);
    EXPECT_EQ(action.sa_handler, SIG_IGN) << signal;
  }
}

TEST(ProgramTest, AThreadsStackIsNoHugePage) {
  testing::internal::CaptureStdout();
  SayVersion();
  testing::internal::GetCapturedStdout();
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_getattr_default_np(&attributes), 0);
  size_t bytes = 0;
  pthread_attr_getstacksize(&attributes, &bytes);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(bytes, size_t{512} << 10);
}

// A file of ours would be written to by whoever means stdout.
TEST(ProgramDeathTest, NoFileTakesThePlaceOfAClosedStream) {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    EXPECT_EXIT(
        {
          close(fd);
          SayVersion();
          _exit((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
  }
}

}  // namespace
}  // namespace vmm
