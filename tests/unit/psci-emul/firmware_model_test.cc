// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/firmware_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace psci {
namespace {

using testing::HasSubstr;

constexpr VcpuId kCpu{1};

FirmwareModel Parse(absl::string_view text) {
  const auto model = ParseFirmwareModel(text);
  EXPECT_TRUE(model.ok()) << model.status();
  return model.value_or(FirmwareModel());
}

TEST(FirmwareModelTest, NoneIsInstant) {
  EXPECT_EQ(Parse("none"), FirmwareModel());
  EXPECT_TRUE(IsInstant(Parse("none")));
  EXPECT_TRUE(IsInstant(Parse("off=0,on=0,lock")));
  for (const char* text : {"off=1ns", "on=1ns", "on=0,far-on=1ns,socket=1"}) {
    EXPECT_FALSE(IsInstant(Parse(text))) << text;
  }
}

TEST(FirmwareModelTest, NumbersMakeAModel) {
  EXPECT_EQ(Parse("off=14us,on=1.5ms,far-on=160ms,socket=32,lock"),
            (FirmwareModel{.name = "custom",
                           .off_ns = 14'000,
                           .on_ns = 1'500'000,
                           .far_on_ns = 160'000'000,
                           .cpus_per_socket = 32,
                           .serialised = true}));
}

TEST(FirmwareModelTest, WhatIsNotSaidIsAsNear) {
  EXPECT_EQ(Parse("on=17us,socket=4").far_on_ns, 17'000);
  EXPECT_EQ(Parse("n1sdp,on=1ms,socket=4").far_on_ns, 1'000'000);
}

TEST(FirmwareModelTest, ANamedOneMayBeChanged) {
  FirmwareModel expected = Parse("thunderx2");
  EXPECT_EQ(expected.name, "thunderx2");
  EXPECT_GT(expected.far_on_ns, expected.on_ns);
  expected.cpus_per_socket = 4;
  EXPECT_EQ(Parse("thunderx2,socket=4"), expected);
  EXPECT_TRUE(Parse("juno").serialised);
  EXPECT_FALSE(Parse("juno,parallel").serialised);
  EXPECT_EQ(Parse("none,off=1us"), Parse("off=1us"));
}

TEST(FirmwareModelTest, ItsTextIsAllThatItIs) {
  for (const char* text :
       {"none", "n1sdp", "juno", "kunpeng920", "thunderx2",
        "thunderx2,socket=4,lock", "off=14us", "off=1ns,on=9.999999999s,lock",
        "on=70ms,far-on=1us,socket=512", "lock"}) {
    const FirmwareModel model = Parse(text);
    EXPECT_EQ(Parse(TextOf(model)), model) << TextOf(model);
  }
  EXPECT_EQ(TextOf(Parse("n1sdp")), "n1sdp,off=14us,on=17us,parallel");
}

TEST(FirmwareModelTest, NonsenseIsNamedWithItsRemedy) {
  struct Case {
    const char* text;
    const char* complaint;
    const char* remedy;
  };
  for (const Case& c : {
           Case{"", "no firmware is called ''", "there are none, n1sdp"},
           Case{"n1spd", "no firmware is called 'n1spd'", "n1sdp"},
           Case{"off=14", "off=14 is no duration", "say off=14us"},
           Case{"on=-1us", "on=-1us is no duration", "say on=14us"},
           Case{"on=11s", "no duration from 0 to 10s", "say on=14us"},
           Case{"on=inf", "no duration from 0 to 10s", "say on=14us"},
           Case{"off=14us=3", "off=14us=3 is no duration", "say off=14us"},
           Case{"off=", "off= is no duration", "say off=14us"},
           Case{"socket=513", "socket=513 is no number", "say socket=32"},
           Case{"socket=-1", "socket=-1 is no number", "say socket=32"},
           Case{"near-on=1us", "firmware has no 'near-on=1us'", "far-on=20us"},
           Case{"juno,", "firmware has no ''", "there are off="},
           Case{"juno,locks", "firmware has no 'locks'", "lock and parallel"},
           Case{"on=1us,far-on=2us", "there is one", "socket=32"},
       }) {
    const auto model = ParseFirmwareModel(c.text);
    ASSERT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument)
        << c.text;
    const std::string message(model.status().message());
    EXPECT_THAT(message, HasSubstr(c.complaint));
    EXPECT_THAT(message, HasSubstr(c.remedy));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(FirmwareTest, FarIsWhereCpu0IsNot) {
  Firmware firmware(Parse("off=1ns,on=10ns,far-on=100ns,socket=4"));
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, VcpuId{3}, 1000), 1010);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, VcpuId{4}, 1000), 1100);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOff, VcpuId{4}, 1000), 1001);
}

TEST(FirmwareTest, InParallelNobodyWaits) {
  Firmware firmware(Parse("on=10ns"));
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, kCpu, 1000), 1010);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, kCpu, 1000), 1010);
}

TEST(FirmwareTest, WithALockTheyQueue) {
  Firmware firmware(Parse("off=5ns,on=10ns,lock"));
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, kCpu, 1000), 1010);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOff, kCpu, 1001), 1015);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, kCpu, 1012), 1025);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, kCpu, 2000), 2010);
}

TEST(FirmwareTest, WhatTakesNoTimeNeedsNoLock) {
  Firmware firmware(Parse("on=10ns,lock"));
  EXPECT_EQ(firmware.CompletionOf(Transition::kOn, kCpu, 1000), 1010);
  EXPECT_EQ(firmware.CompletionOf(Transition::kOff, kCpu, 1001), 1001);
}

TEST(FirmwareTest, NoTwoThreadsHaveTheLockAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kEach = 1000;
  Firmware firmware(Parse("on=10ns,lock"));
  std::vector<std::vector<int64_t>> done(kThreads);
  std::vector<std::thread> threads;
  for (auto& mine : done) {
    threads.emplace_back([&firmware, &mine] {
      for (int i = 0; i < kEach; ++i) {
        mine.push_back(firmware.CompletionOf(Transition::kOn, kCpu, 0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<int64_t> all;
  for (const auto& mine : done) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i], static_cast<int64_t>(10 * (i + 1)));
  }
}

}  // namespace
}  // namespace psci
