// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/call_filter.h"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

class ConfineFilesDeathTest : public testing::Test {
 protected:
  ConfineFilesDeathTest() {
    mkdir(folder_.c_str(), 0777);
    mkdir(other_.c_str(), 0777);
    for (const std::string& path : {read_, folder_ + "/old", other_ + "/x"}) {
      std::ofstream(path) << "text";
    }
  }
  void SetUp() override {
    if (LandlockVersion() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  }
  // In a process of its own: there is no way back. Its status is errno of the
  // first thing that failed.
  template <typename Attempt>
  void Confined(int expected, Attempt attempt) {
    const FileRules rules = {.read = {read_, folder_, "/no/such/file"},
                             .devices = {"/dev/null"},
                             .folders = {folder_}};
    EXPECT_EXIT(
        {
          if (!ConfineFiles(rules).ok()) _exit(200);
          errno = 0;
          _exit(attempt() ? 0 : errno);
        },
        testing::ExitedWithCode(expected), "");
  }
  static bool Opens(const std::string& path, int flags) {
    return open(path.c_str(), flags | O_CLOEXEC, 0666) >= 0;
  }

  const std::string folder_ = ScratchPath("outputs");
  const std::string other_ = ScratchPath("other");
  const std::string read_ = ScratchPath("input");
};

TEST_F(ConfineFilesDeathTest, WhatIsNamedCanBeRead) {
  Confined(0, [&] { return Opens(read_, O_RDONLY); });
  Confined(0, [&] { return Opens(folder_ + "/old", O_RDONLY); });
  Confined(EACCES, [&] { return Opens(other_ + "/x", O_RDONLY); });
  Confined(EACCES, [&] { return Opens("/etc/passwd", O_RDONLY); });
}

TEST_F(ConfineFilesDeathTest, WhatIsReadIsNotWritten) {
  Confined(EACCES, [&] { return Opens(read_, O_WRONLY); });
  Confined(0, [&] { return Opens("/dev/null", O_WRONLY); });
}

TEST_F(ConfineFilesDeathTest, InAFolderFilesAreMadeReplacedAndTakenAway) {
  Confined(0, [&] {
    const std::string fresh = folder_ + "/new";
    return Opens(fresh, O_WRONLY | O_CREAT | O_TRUNC) &&
           rename(fresh.c_str(), (folder_ + "/old").c_str()) == 0 &&
           unlink((folder_ + "/old").c_str()) == 0;
  });
  Confined(EACCES, [&] { return Opens(other_ + "/new", O_WRONLY | O_CREAT); });
  Confined(EACCES, [&] { return mkdir((folder_ + "/d").c_str(), 0777) == 0; });
  Confined(EACCES, [&] {
    return symlink("/etc/passwd", (folder_ + "/link").c_str()) == 0;
  });
}

// As a shell's <(...) and >(...), or /dev/stdin, is one.
TEST_F(ConfineFilesDeathTest, APipeThatIsNamedCanBeOpened) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const std::string from = absl::StrCat("/proc/self/fd/", ends[0]);
  const std::string to = absl::StrCat("/proc/self/fd/", ends[1]);
  EXPECT_EXIT(
      {
        if (!ConfineFiles({.read = {from}, .devices = {to}}).ok()) _exit(200);
        _exit(Opens(from, O_RDONLY) && Opens(to, O_WRONLY) ? 0 : errno);
      },
      testing::ExitedWithCode(0), "");
  close(ends[0]);
  close(ends[1]);
}

TEST_F(ConfineFilesDeathTest, WhatIsOpenStaysOpen) {
  const int fd = open((other_ + "/x").c_str(), O_RDONLY | O_CLOEXEC);
  char byte;
  Confined(0, [&] { return pread(fd, &byte, 1, 0) == 1; });
  close(fd);
}

void AllowNoMoreFiles() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_NOFILE, &none);
}

[[noreturn]] void SayWhatBecomesOfIt() {
  const absl::Status status = ConfineFiles({.read = {"/proc"}});
  std::cerr << status.message();
  _exit(status.ok() ? 0 : 1);
}

TEST_F(ConfineFilesDeathTest, WithoutLandlockNothingIsConfined) {
  EXPECT_EXIT(
      {
        LackCall(SYS_landlock_create_ruleset, ENOSYS);
        SayWhatBecomesOfIt();
      },
      testing::ExitedWithCode(0), "^$");
}

TEST_F(ConfineFilesDeathTest, WhatFailedIsNamed) {
  EXPECT_EXIT(
      {
        AllowNoMoreFiles();
        SayWhatBecomesOfIt();
      },
      testing::ExitedWithCode(1), "^landlock_create_ruleset: Too many open");
  EXPECT_EXIT(
      {
        LackCall(SYS_landlock_add_rule, ENOMEM);
        SayWhatBecomesOfIt();
      },
      testing::ExitedWithCode(1), "^landlock_add_rule /proc: Cannot allocate");
  EXPECT_EXIT(
      {
        LackCall(SYS_landlock_restrict_self, E2BIG);
        SayWhatBecomesOfIt();
      },
      testing::ExitedWithCode(1), "^landlock_restrict_self: Argument list");
}

}  // namespace
}  // namespace vmm
