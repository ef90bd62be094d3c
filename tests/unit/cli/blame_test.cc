// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/blame.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "vmm/base/errno_status.h"

namespace vmm {
namespace {

ExitCode BlameOf(const absl::Status& error) {
  testing::internal::CaptureStderr();
  const ExitCode code = Blame(error);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "vmm: error: " + std::string(error.message()) + "\n");
  return code;
}

ExitCode BlameOfErrno(int error) {
  errno = error;
  return BlameOf(ErrnoStatus("cannot read f"));
}

TEST(BlameTest, AnotherOptionOrPathIsTheUsersToGive) {
  EXPECT_EQ(BlameOf(absl::InvalidArgumentError("--cpus 0")), ExitCode::kUsage);
  for (const int error :
       {ENOENT, ENOTDIR, EISDIR, EACCES, EROFS, ELOOP, ENAMETOOLONG}) {
    EXPECT_EQ(BlameOfErrno(error), ExitCode::kUsage) << error;
  }
}

TEST(BlameTest, WhatTheHostFailsAtIsNoMistakeOfTheUsers) {
  for (const int error :
       {ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, EPIPE, EINVAL, EBUSY}) {
    EXPECT_EQ(BlameOfErrno(error), ExitCode::kHostCannot) << error;
  }
}

}  // namespace
}  // namespace vmm
