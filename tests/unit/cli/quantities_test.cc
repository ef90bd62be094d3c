// SPDX-License-Identifier: Apache-2.0
// faults.md B9: one grammar for sizes, one for times.
#include "vmm/cli/quantities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace vmm {
namespace {

using testing::HasSubstr;

TEST(SizeTest, HasAUnitOf1024) {
  constexpr uint64_t kMega = uint64_t{1} << 20;
  const std::pair<const char*, uint64_t> sizes[] = {
      {"512M", 512 * kMega},           {"512m", 512 * kMega},
      {"512MB", 512 * kMega},          {"512MiB", 512 * kMega},
      {"1.5G", 1536 * kMega},          {"0.25g", 256 * kMega},
      {"2T", 2 * 1024 * 1024 * kMega}, {"64K", 65536},
      {"1073741824", 1024 * kMega},    {"4096b", 4096}};
  for (const auto& [text, bytes] : sizes) {
    const auto parsed = ParseSize(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(SizeTest, WithoutOneItIsAskedFor) {
  EXPECT_EQ(ParseSize("512").status().message(),
            "512 of what? say 512M or 512G");
}

TEST(SizeTest, NothingElseIsOne) {
  for (const char* const text : {"", "M", "lots", "-1M", "1e3M", "1..5M", "1X",
                                 "1 G", "5ib", "0x10M", "nanM", "infM"}) {
    EXPECT_THAT(ParseSize(text).status().message(), HasSubstr("is no size"))
        << text;
  }
  EXPECT_FALSE(ParseSize("99999999999T").ok());
  EXPECT_FALSE(ParseSize("0.0001K").ok());
}

TEST(DurationTest, HasAUnit) {
  EXPECT_EQ(ParseDuration("90s").value(), absl::Seconds(90));
  EXPECT_EQ(ParseDuration("1h30m").value(), absl::Minutes(90));
  EXPECT_EQ(ParseDuration("1.5s").value(), absl::Milliseconds(1500));
  EXPECT_EQ(ParseDuration("5").status().message(), "5 of what? say 5s or 5m");
  for (const char* const text : {"", "0s", "-1s", "soon", "0"}) {
    EXPECT_THAT(ParseDuration(text).status().message(),
                HasSubstr("is no duration; say 90s, 5m or 1h30m"))
        << text;
  }
}

TEST(LimitTest, EachHasANameAndADuration) {
  const auto limits = ParseLimits("down=5ms,up/cpu=1.5s");
  ASSERT_TRUE(limits.ok());
  ASSERT_EQ(limits->size(), 2u);
  EXPECT_EQ(NameOf((*limits)[0]), "down");
  EXPECT_EQ((*limits)[0].ns, 5'000'000);
  EXPECT_EQ(NameOf((*limits)[1]), "up/cpu");
  EXPECT_EQ((*limits)[1].ns, 1'500'000'000);
  EXPECT_TRUE(ParseLimits("").value().empty());
}

TEST(LimitTest, NothingElseIsOne) {
  for (const char* const text : {"downs=5ms", "5ms", ",", "down/cpus=5ms"}) {
    EXPECT_THAT(ParseLimits(text).status().message(),
                HasSubstr("is no limit; say down=5ms"))
        << text;
  }
  EXPECT_EQ(ParseLimits("down=5").status().message(),
            "5 of what? say 5s or 5m");
  EXPECT_THAT(ParseLimits("up=1ms,down").status().message(),
              HasSubstr("is no duration"));
}

}  // namespace
}  // namespace vmm
