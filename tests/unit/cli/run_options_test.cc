// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "nlohmann/json.hpp"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class RunOptionsTest : public testing::Test {
 protected:
  RunOptionsTest() { DefineRunOptions(app_, options_); }

  absl::Status Parse(std::vector<std::string> words) {
    std::reverse(words.begin(), words.end());  // As CLI11 wants them.
    app_.parse(words);
    return ApplyConfigFile(app_, options_);
  }
  std::string ConfigFile(const std::string& text) {
    std::string path = ScratchPath("json");
    std::ofstream(path) << text;
    return path;
  }

  CLI::App app_;
  RunOptions options_;
};

TEST_F(RunOptionsTest, SizesTakeSuffixes) {
  ASSERT_TRUE(Parse({"-m", "2G", "Image"}).ok());
  EXPECT_EQ(options_.memory, uint64_t{2} << 30);
}

TEST_F(RunOptionsTest, ParamsRepeatAndLeaveTheKernelAlone) {
  ASSERT_TRUE(Parse({"-p", "quiet", "-p", "a=b c", "Image"}).ok());
  EXPECT_EQ(options_.params, (std::vector<std::string>{"quiet", "a=b c"}));
  EXPECT_EQ(options_.kernel, "Image");
}

TEST_F(RunOptionsTest, NonsenseIsRefused) {
  const std::vector<std::string> nonsense[] = {
      {"-c", "0"},        {"-c", "513"},          {"-m", "lots"},
      {"--psci", "smc"},  {"--park", "here"},     {"--firmware", "n1spd"},
      {"--label", "kvn"}, {"--label", "kvm,tcg"}, {"--frob"},
  };
  for (std::vector<std::string> words : nonsense) {
    words.push_back("Image");
    EXPECT_THROW(Parse(words).IgnoreError(), CLI::ParseError)
        << words[0] << " " << words[1];
  }
}

TEST_F(RunOptionsTest, CpusParkInTheVmmWhereItAnswersPsci) {
  ASSERT_TRUE(Parse({"Image"}).ok());
  EXPECT_EQ(ParkOf(options_), "host");
  options_.psci = "kvm";
  EXPECT_EQ(ParkOf(options_), "off");
  options_.park = "guest";
  EXPECT_EQ(ParkOf(options_), "guest");
}

TEST_F(RunOptionsTest, IdleStatesAreForWhoAsks) {
  ASSERT_TRUE(Parse({"Image"}).ok());
  EXPECT_FALSE(options_.idle_states);
  ASSERT_TRUE(Parse({"--idle-states", "Image"}).ok());
  EXPECT_TRUE(options_.idle_states);
}

TEST_F(RunOptionsTest, WhatDryRunPrintsIsAConfigFile) {
  ASSERT_TRUE(Parse({"-c",
                     "4",
                     "-m",
                     "512M",
                     "-p",
                     "x",
                     "-p",
                     "y z",
                     "--raw",
                     "--seed",
                     "7",
                     "--park",
                     "guest",
                     "--park-base",
                     "0x4f000000",
                     "--strict",
                     "--idle-states",
                     "--label",
                     "kvm",
                     "--firmware",
                     "thunderx2,socket=4",
                     "Image"})
                  .ok());
  const json printed = ToJson(options_);

  RunOptions again;
  CLI::App app;
  DefineRunOptions(app, again);
  app.parse("--config " + ConfigFile(printed.dump()));
  ASSERT_TRUE(ApplyConfigFile(app, again).ok());
  EXPECT_EQ(ToJson(again), printed);
}

TEST_F(RunOptionsTest, TheCommandLineWinsOverTheFile) {
  const std::string path =
      ConfigFile(R"({"cpus": 8, "memory": "1G", "kernel": "Image"})");
  ASSERT_TRUE(Parse({"-c", "2", "--config", path}).ok());
  EXPECT_EQ(options_.cpus, 2u);
  EXPECT_EQ(options_.memory, uint64_t{1} << 30);
  EXPECT_EQ(options_.kernel, "Image");
}

TEST_F(RunOptionsTest, BadFilesAreNamedWithTheirKey) {
  EXPECT_THAT(Parse({"--config", ConfigFile(R"({"cpu": 1})")}).message(),
              HasSubstr("unknown key cpu"));
}

TEST_F(RunOptionsTest, BadValuesAreNamedWithTheirKey) {
  EXPECT_THAT(Parse({"--config", ConfigFile(R"({"cpus": 1000})")}).message(),
              HasSubstr("cpus"));
}

TEST_F(RunOptionsTest, AFirmwaresNameBecomesItsNumbers) {
  ASSERT_TRUE(Parse({"Image"}).ok());
  EXPECT_EQ(ToJson(options_)["firmware"], "none");
  ASSERT_TRUE(Parse({"--firmware", "n1sdp", "Image"}).ok());
  EXPECT_EQ(ToJson(options_)["firmware"], "n1sdp,off=14us,on=17us,parallel");
}

TEST_F(RunOptionsTest, ABadFirmwareIsNamedWithItsRemedy) {
  EXPECT_THAT(
      Parse({"--config", ConfigFile(R"({"firmware": "off=14"})")}).message(),
      HasSubstr("off=14 is no duration from 0 to 10s; say off=14us"));
}

TEST_F(RunOptionsTest, WhatIsNoJsonIsRefused) {
  EXPECT_THAT(Parse({"--config", ConfigFile("cpus = 4")}).message(),
              HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace vmm
