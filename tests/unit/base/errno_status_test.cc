// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/errno_status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace vmm {
namespace {

absl::Status Of(int error) {
  errno = error;
  return ErrnoStatus("cannot open f");
}

TEST(ErrnoStatusTest, SaysWhatFailedAndWhy) {
  EXPECT_EQ(Of(ENOENT),
            absl::NotFoundError("cannot open f: No such file or directory"));
  EXPECT_EQ(Of(EACCES),
            absl::PermissionDeniedError("cannot open f: Permission denied"));
  EXPECT_EQ(Of(EMFILE),
            absl::ResourceExhaustedError(
                "cannot open f: Too many open files; raise their limit with "
                "ulimit -n"));
  EXPECT_EQ(Of(EIO), absl::DataLossError("cannot open f: Input/output error"));
  EXPECT_EQ(Of(EBUSY),
            absl::UnknownError("cannot open f: Device or resource busy"));
}

TEST(ErrnoStatusTest, BlamesNeitherTheUserNorTheHostsKvm) {
  for (int error = 1; error < 134; ++error) {
    const absl::Status status = Of(error);
    EXPECT_NE(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_NE(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_FALSE(status.ok()) << error;
  }
}

}  // namespace
}  // namespace vmm
