// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "nlohmann/json.hpp"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class DryRunTest : public testing::Test {
 protected:
  DryRunTest() {
    std::ofstream(kernel_) << "a flat binary";
    options_.kernel = kernel_;
    options_.raw = true;
    options_.dry_run = true;
  }
  // Returns what the command printed.
  json Run(ExitCode expected) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(RunCommand(options_), expected);
    errors_ = testing::internal::GetCapturedStderr();
    return json::parse(testing::internal::GetCapturedStdout(), nullptr, false);
  }

  const std::string kernel_ = ScratchPath("kernel");
  RunOptions options_;
  std::string errors_;
};

TEST_F(DryRunTest, PrintsThePlanBesideTheConfiguration) {
  options_.cpus = 3;
  json printed = Run(ExitCode::kOk);
  const json plan = printed["plan"];
  EXPECT_EQ(plan["cpus"], 3);
  EXPECT_EQ(plan["ram"]["base"], "0x40000000");
  EXPECT_EQ(plan["kernel"]["base"], "0x40080000");
  EXPECT_EQ(plan["devices"].size(), 4u);
  printed.erase("plan");
  EXPECT_EQ(printed, ToJson(options_));
}

TEST_F(DryRunTest, WhatItPrintsIsAConfigFile) {
  const std::string path = ScratchPath("json");
  std::ofstream(path) << Run(ExitCode::kOk).dump();
  RunOptions again;
  CLI::App app;
  DefineRunOptions(app, again);
  app.parse("--config " + path);
  ASSERT_TRUE(ApplyConfigFile(app, again).ok());
  EXPECT_EQ(ToJson(again), ToJson(options_));
}

TEST_F(DryRunTest, WithoutAKernelThereIsNoPlan) {
  for (const char* kernel : {"", "/nowhere/Image"}) {
    options_.kernel = kernel;
    EXPECT_EQ(Run(ExitCode::kOk), ToJson(options_));
  }
}

TEST_F(DryRunTest, AMachineThatCannotBeIsRefusedAsTheRunWouldRefuseIt) {
  options_.memory = 4096;
  EXPECT_EQ(Run(ExitCode::kUsage), ToJson(options_));
  EXPECT_THAT(errors_, HasSubstr("--memory must be a multiple of 2M"));
  options_.dry_run = false;
  Run(ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("--memory must be a multiple of 2M"));
}

}  // namespace
}  // namespace vmm
