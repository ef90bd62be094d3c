// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/limits.h"

#include <gtest/gtest.h>

#include <string>

namespace vmm {
namespace {

// No two times are the same.
const Boot kKexec = {.number = 2,
                     .kexec = true,
                     .cpus = 5,
                     .cpus_back = 5,
                     .came_up = CameUpBy::kMark,
                     .total = 8'000'000,
                     .teardown = 9'000'000,
                     .phases = {1'000'000, 2'000'000, 3'000'000, 4'000'000,
                                5'000'000, 6'000'000}};

TEST(LimitsTest, EachTimeHasItsName) {
  const char* const names[] = {"prepare", "down",      "jump",  "early",
                               "up",      "userspace", "total", "teardown"};
  const int64_t ms[] = {1, 2, 3, 4, 5, 6, 8, 9};
  for (size_t i = 0; i < std::size(names); ++i) {
    EXPECT_TRUE(IsMeasure(names[i]));
    const Limit kept = {.what = names[i], .ns = ms[i] * 1'000'000};
    EXPECT_FALSE(FirstExcess(kKexec, {kept})) << names[i];
    const Limit missed = {.what = names[i], .ns = kept.ns - 1};
    const auto excess = FirstExcess(kKexec, {missed});
    ASSERT_TRUE(excess) << names[i];
    EXPECT_EQ(excess->ns, kept.ns);
  }
  for (const char* const name : {"", "Down", "user", "down/cpu"}) {
    EXPECT_FALSE(IsMeasure(name));
  }
}

TEST(LimitsTest, ACpusShareIsOfAllButTheOneThatCallsKexec) {
  const Limit kept = {.what = "up", .per_cpu = true, .ns = 1'250'000};
  EXPECT_FALSE(FirstExcess(kKexec, {kept}));
  const Limit missed = {.what = "up", .per_cpu = true, .ns = 1'249'999};
  EXPECT_EQ(FirstExcess(kKexec, {kept, missed})->ns, 1'250'000);
  Boot boot = kKexec;
  boot.cpus = 2;
  EXPECT_EQ(FirstExcess(boot, {missed})->ns, 5'000'000);
}

TEST(LimitsTest, TheFirstOneThatIsNotKeptIsToldWithByHowMuch) {
  const Limit limits[] = {{.what = "jump", .ns = 3'000'000},
                          {.what = "down", .ns = 1'500'000},
                          {.what = "up", .ns = 1}};
  const auto excess = FirstExcess(kKexec, limits);
  EXPECT_EQ(excess->Sentence(kKexec),
            "kexec 2: down took 2.000 ms, 0.500 ms more than the 1.500 ms of "
            "--max");
}

TEST(LimitsTest, WhatWasNotSeenWasNotKept) {
  Boot boot = kKexec;
  boot.phases.down = std::nullopt;
  const Limit down = {.what = "down", .ns = 1'000'000'000};
  EXPECT_EQ(FirstExcess(boot, {down})->Sentence(boot),
            "kexec 2: down was not seen, so nobody knows whether it kept "
            "--max");
  boot = kKexec;
  boot.cpus = 1;
  const Limit per_cpu = {.what = "down", .per_cpu = true, .ns = 1'000'000'000};
  EXPECT_EQ(FirstExcess(boot, {per_cpu})->Sentence(boot),
            "kexec 2: down/cpu was not seen, so nobody knows whether it kept "
            "--max");
}

TEST(LimitsTest, OnlyKexecsThatCameUpAreJudged) {
  const Limit limit = {.what = "down", .ns = 1};
  Boot boot = kKexec;
  boot.kexec = false;
  EXPECT_FALSE(FirstExcess(boot, {limit}));
  boot = kKexec;
  boot.crash = true;
  EXPECT_FALSE(FirstExcess(boot, {limit}));
  boot = kKexec;
  boot.came_up = std::nullopt;
  EXPECT_FALSE(FirstExcess(boot, {limit}));
  EXPECT_FALSE(FirstExcess(kKexec, {}));
}

}  // namespace
}  // namespace vmm
