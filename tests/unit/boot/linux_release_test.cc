// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/linux_release.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace vmm {
namespace {

TEST(LinuxReleaseTest, IsWhatTheBannerSays) {
  EXPECT_EQ(LinuxRelease(absl::StrCat(
                std::string(5, '\0'),
                "Linux version 6.18.0-rc1-00012-gdeadbeef (me@here) #1 SMP")),
            "6.18.0-rc1-00012-gdeadbeef");
}

TEST(LinuxReleaseTest, AFormatIsNoBanner) {
  EXPECT_EQ(LinuxRelease("Linux version %s (%s@%s)"), std::nullopt);
  EXPECT_EQ(LinuxRelease("Linux version %s Linux version 5.10 (x)"), "5.10");
}

TEST(LinuxReleaseTest, WhatIsNotAReleaseIsNone) {
  for (const absl::string_view kernel :
       {"", "Linux version", "Linux version ", "Linux version  (",
        "Linux version 6.1", "Linux version 6.\x1b[31m (",
        "Linux version 6.\xc3\xa9 ("}) {
    EXPECT_EQ(LinuxRelease(kernel), std::nullopt) << kernel;
  }
}

TEST(LinuxReleaseTest, IsAsLongAsLinuxLetsItBe) {
  const std::string longest(64, '6');
  EXPECT_EQ(LinuxRelease(absl::StrCat("Linux version ", longest, " (")),
            longest);
  EXPECT_EQ(LinuxRelease(absl::StrCat("Linux version ", longest, "6 (")),
            std::nullopt);
}

}  // namespace
}  // namespace vmm
