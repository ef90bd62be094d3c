// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "vmm/kvm/arm64_reset_image.h"

namespace vmm {
namespace {

TEST(ResetImageTest, OnlyTheErrorsOfAReadOnlyRegisterMeanThatItIsOne) {
  for (const int error : {EINVAL, EPERM, EBUSY}) {
    EXPECT_TRUE(MeansReadOnly(error)) << error;
  }
  for (const int error : {ENOENT, EFAULT, ENOTTY, EBADF, ENOMEM, EINTR, EIO}) {
    EXPECT_FALSE(MeansReadOnly(error)) << error;
  }
}

}  // namespace
}  // namespace vmm
