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
using testing::StartsWith;

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

// faults.md B8: as peers say it.
TEST_F(RunOptionsTest, SomeHaveOtherNames) {
  ASSERT_TRUE(Parse({"--append", "quiet", "--smp", "3", "Image"}).ok());
  EXPECT_EQ(options_.kernel, "Image");
  EXPECT_EQ(options_.params, std::vector<std::string>{"quiet"});
  EXPECT_EQ(options_.cpus, 3u);
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

// Its command line is its own; nothing is put in front of that.
TEST_F(RunOptionsTest, A13AFlatBinaryIsOfferedNoPagesUnlessAsked) {
  ASSERT_TRUE(Parse({"--raw", "program.bin"}).ok());
  EXPECT_EQ(ParkOf(options_), "off");
  options_.park_base = "0x4f000000";
  EXPECT_EQ(ParkOf(options_), "host");
  options_.park_base = "";
  options_.park = "host";
  EXPECT_EQ(ParkOf(options_), "host");
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

TEST_F(RunOptionsTest, ACommandMayBeInTheFile) {
  const std::string path = ConfigFile(R"({"command": ["sh", "-c", "a b"]})");
  ASSERT_TRUE(Parse({"--config", path}).ok());
  EXPECT_THAT(options_.command, testing::ElementsAre("sh", "-c", "a b"));
  options_.command = {"said"};
  ASSERT_TRUE(ApplyConfigFile(app_, options_).ok());
  EXPECT_THAT(options_.command, testing::ElementsAre("said"));
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

// What `vmm run --help` lists, in its order.
struct Listed {
  std::string name;
  std::string type;
  std::string shown_default;
};

const Listed kListed[] = {
    {"kernel", "KERNEL", ""},
    {"--initrd", "FILE", ""},
    {"--rootfs", "DIR|TAR|CPIO", ""},
    {"--params", "TEXT", ""},
    {"--cpus", "N", "1"},
    {"--memory", "SIZE", "1073741824"},
    {"--psci", "vmm|kvm", "vmm"},
    {"--firmware", "MODEL", "none"},
    {"--park", "off|guest|host", ""},
    {"--park-base", "ADDRESS", ""},
    {"--park-node", "no-map|reserved", "no-map"},
    {"--idle-states", "", ""},
    {"--strict", "", ""},
    {"--allow-splat", "TEXT", ""},
    {"--symbols", "FILE", ""},
    {"--raw", "", ""},
    {"--seed", "N", ""},
    {"--timeout", "DURATION", "5m"},
    {"--on-reset", "fail|ok|reboot", "fail"},
    {"--panic-grace", "DURATION", "5s"},
    {"--expect-kexecs", "N", ""},
    {"--kexec", "N", ""},
    {"--next", "KERNEL", ""},
    {"--max", "LIMITS", ""},
    {"--bisect", "", ""},
    {"--tty", "auto|on|off", "auto"},
    {"--arm", "NAME", "stock"},
    {"--label", "LABEL", ""},
    {"--events", "FILE", ""},
    {"--results", "FILE", ""},
    {"--dump-dtb", "FILE", ""},
    {"--format", "FORMAT[:FILE]", ""},
    {"--seccomp", "on|log|off", "on"},
    {"--config", "FILE", ""},
    {"--dry-run", "", ""},
    {"--skip-if-no-kvm", "", ""},
    {"--verbose", "", ""},
};

TEST_F(RunOptionsTest, HelpListsThemInAnOrderWithTypesAndDefaults) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : app_.get_options()) {
    if (option->get_name() != "--help") options.push_back(option);
  }
  ASSERT_EQ(options.size(), std::size(kListed));
  for (size_t i = 0; i < options.size(); ++i) {
    const Listed& listed = kListed[i];
    EXPECT_EQ(options[i]->get_name(), listed.name);
    if (!listed.type.empty()) {
      EXPECT_THAT(options[i]->get_type_name(), StartsWith(listed.type));
    }
    EXPECT_FALSE(options[i]->get_description().empty()) << listed.name;
    const std::string shown = options[i]->get_default_str();
    if (!listed.type.empty() && listed.type != "TEXT") {
      EXPECT_EQ(shown, listed.shown_default) << listed.name;
    }
  }
}

TEST_F(RunOptionsTest, AModelIsShownAsNothingElse) {
  EXPECT_EQ(app_.get_option("--firmware")->get_type_name(), "MODEL");
}

TEST_F(RunOptionsTest, ShortNamesAreTheSameOptions) {
  ASSERT_TRUE(Parse({"-i", "initrd", "-v", "Image"}).ok());
  EXPECT_EQ(options_.initrd, "initrd");
  EXPECT_TRUE(options_.verbose);
  EXPECT_EQ(options_.kernel, "Image");
}

TEST_F(RunOptionsTest, EveryOptionFillsItsField) {
  ASSERT_TRUE(Parse({"Image",
                     "--initrd",
                     "initrd",
                     "--psci",
                     "kvm",
                     "--park",
                     "off",
                     "--park-base",
                     "0x4f000000",
                     "--park-node",
                     "reserved",
                     "--strict",
                     "--allow-splat",
                     "WARNING: a",
                     "--allow-splat",
                     "BUG: b",
                     "--symbols",
                     "System.map",
                     "--raw",
                     "--seed",
                     "7",
                     "--timeout",
                     "90s",
                     "--on-reset",
                     "reboot",
                     "--panic-grace",
                     "9s",
                     "--expect-kexecs",
                     "50",
                     "--kexec",
                     "6",
                     "--next",
                     "B",
                     "--next",
                     "C",
                     "--max",
                     "down=5ms",
                     "--bisect",
                     "--tty",
                     "off",
                     "--arm",
                     "stop",
                     "--label",
                     "kvm",
                     "--events",
                     "e",
                     "--results",
                     "r",
                     "--dump-dtb",
                     "d",
                     "--format",
                     "tap",
                     "--format",
                     "junit:x:y",
                     "--seccomp",
                     "log",
                     "--dry-run",
                     "--skip-if-no-kvm",
                     "--verbose"})
                  .ok());
  EXPECT_TRUE(options_.dry_run);
  options_.command = {"sh", "-c", "true"};
  EXPECT_EQ(ToJson(options_), json::parse(R"({
    "kernel": "Image", "command": ["sh", "-c", "true"], "kexec": 6, "tty": "off",
    "next": ["B", "C"],
    "max": "down=5ms", "bisect": true,
    "initrd": "initrd", "rootfs": "", "params": [], "cpus": 1,
    "memory": 1073741824, "psci": "kvm", "firmware": "none", "park": "off",
    "park-base": "0x4f000000", "park-node": "reserved", "idle-states": false, "strict": true,
    "allow-splat": ["WARNING: a", "BUG: b"], "symbols": "System.map",
    "raw": true, "seed": 7,
    "timeout": "90s", "on-reset": "reboot", "panic-grace": "9s", "expect-kexecs": 50,
    "arm": "stop", "label": "kvm", "events": "e", "results": "r",
    "dump-dtb": "d", "format": ["tap", "junit:x:y"],
    "seccomp": "log", "skip-if-no-kvm": true, "verbose": true})"));
}

TEST_F(RunOptionsTest, WhatIsNotSaidIsNullOrEmpty) {
  ASSERT_TRUE(Parse({"Image"}).ok());
  EXPECT_EQ(ToJson(options_), json::parse(R"({
    "kernel": "Image", "command": [], "kexec": null, "tty": "auto", "next": [],
    "max": "", "bisect": false,
    "initrd": "", "rootfs": "", "params": [], "cpus": 1,
    "memory": 1073741824, "psci": "vmm", "firmware": "none", "park": "host",
    "park-base": "", "park-node": "no-map", "idle-states": false, "strict": false,
    "allow-splat": [], "symbols": "", "raw": false, "seed": null,
    "timeout": "5m", "on-reset": "fail", "panic-grace": "5s", "expect-kexecs": null,
    "arm": "stock", "label": "", "events": "", "results": "",
    "dump-dtb": "", "format": [], "seccomp": "on", "skip-if-no-kvm": false, "verbose": false})"));
}

TEST_F(RunOptionsTest, AnOptionThatRepeatsTakesOneWordEachTime) {
  ASSERT_TRUE(Parse({"--allow-splat", "a", "Image"}).ok());
  EXPECT_EQ(options_.allow_splats, std::vector<std::string>{"a"});
  EXPECT_EQ(options_.kernel, "Image");
}

TEST_F(RunOptionsTest, BothEndsOfARangeAreIn) {
  ASSERT_TRUE(Parse({"-c", "512", "Image"}).ok());
  EXPECT_EQ(options_.cpus, 512u);
  options_ = {};
  ASSERT_TRUE(Parse({"-c", "1", "Image"}).ok());
  EXPECT_EQ(options_.cpus, 1u);
}

TEST_F(RunOptionsTest, SizesAreInUnitsOf1024) {
  ASSERT_TRUE(Parse({"-m", "512M", "Image"}).ok());
  EXPECT_EQ(options_.memory, uint64_t{512} << 20);
}

TEST_F(RunOptionsTest, AFileMaySaySomeAndLeaveTheRest) {
  ASSERT_TRUE(Parse({"--config", ConfigFile(R"({
        "kernel": "Image", "cpus": 8, "params": ["a", "b c"], "seed": 5,
        "raw": true, "strict": false, "label": "", "symbols": "", "allow-splat": [],
        "expect-kexecs": null, "plan": {"cpus": 9}})")})
                  .ok());
  EXPECT_EQ(options_.kernel, "Image");
  EXPECT_EQ(options_.cpus, 8u);
  EXPECT_EQ(options_.params, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(options_.seed, 5u);
  EXPECT_TRUE(options_.raw);
  EXPECT_FALSE(options_.strict);
  EXPECT_EQ(options_.label, "");
  EXPECT_EQ(options_.expect_kexecs, std::nullopt);
}

TEST_F(RunOptionsTest, WordsOfAListMayBeNumbers) {
  ASSERT_TRUE(Parse({"--config", ConfigFile(R"({"params": [1, "x"]})")}).ok());
  EXPECT_EQ(options_.params, (std::vector<std::string>{"1", "x"}));
}

// A list in a list is no word, and one in a hundred thousand is none either.
TEST_F(RunOptionsTest, AListInAListIsRefused) {
  const std::string deep =
      std::string(200'000, '[') + std::string(200'000, ']');
  for (const std::string& value :
       {std::string("[[1]]"), std::string(R"({"a": 1})"),
        std::string(R"(["a", {"b": 1}])"), "[" + deep + "]"}) {
    for (const std::string key : {"params", "cpus", "command"}) {
      const std::string path = ConfigFile("{\"" + key + "\": " + value + "}");
      options_ = {};
      EXPECT_EQ(Parse({"--config", path}),
                absl::InvalidArgumentError("--config " + path + ": " + key +
                                           ": say a word, or a list of words"));
    }
  }
}

TEST_F(RunOptionsTest, AFileThatCannotBeReadIsNamed) {
  EXPECT_EQ(Parse({"--config", "/nowhere/file"}),
            absl::NotFoundError(
                "cannot open /nowhere/file: No such file or directory"));
}

TEST_F(RunOptionsTest, ComplaintsNameTheFile) {
  const std::string path = ConfigFile("[]");
  EXPECT_EQ(
      Parse({"--config", path}),
      absl::InvalidArgumentError("--config " + path + ": not a JSON object"));
}

TEST_F(RunOptionsTest, AFileOfMoreThanAMegabyteIsNoConfiguration) {
  const std::string said = R"({"cpus": 2})";
  const size_t most = size_t{1} << 20;
  ASSERT_TRUE(Parse({"--config",
                     ConfigFile(said + std::string(most - said.size(), ' '))})
                  .ok());
  EXPECT_EQ(options_.cpus, 2u);
  EXPECT_THAT(
      Parse({"--config",
             ConfigFile(said + std::string(most - said.size() + 1, ' '))})
          .message(),
      HasSubstr("larger than 1048576 bytes"));
}

}  // namespace
}  // namespace vmm
