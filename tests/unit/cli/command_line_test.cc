// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/support/scratch.h"
#include "vmm/cli/bisect.h"
#include "vmm/kvm/host_report.h"

namespace vmm {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class CommandLineTest : public testing::Test {
 protected:
  ExitCode Run(const std::vector<const char*>& words) {
    std::vector<const char*> argv = {"vmm"};
    argv.insert(argv.end(), words.begin(), words.end());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const ExitCode code =
        RunCommandLine(static_cast<int>(argv.size()), argv.data());
    out_ = testing::internal::GetCapturedStdout();
    errors_ = testing::internal::GetCapturedStderr();
    return code;
  }

  std::string out_;
  std::string errors_;
};

TEST_F(CommandLineTest, HelpNamesTheSubcommandsAndTheExitCodes) {
  EXPECT_EQ(Run({"--help"}), ExitCode::kOk);
  EXPECT_THAT(errors_, IsEmpty());
  EXPECT_THAT(out_, HasSubstr("run "));
  EXPECT_THAT(out_, HasSubstr("Run a guest kernel, or a command in it"));
  EXPECT_THAT(out_, HasSubstr("doctor "));
  EXPECT_THAT(out_, HasSubstr("Say what this host can do."));
  EXPECT_THAT(out_, HasSubstr("Runs AArch64 guests under KVM"));
  EXPECT_THAT(out_, HasSubstr("Exit codes: 0 ok; 1 verdict missed; 2 usage;"));
}

TEST_F(CommandLineTest, HelpOfRunNamesItsOptionsAndTheExitCodes) {
  EXPECT_EQ(Run({"run", "--help"}), ExitCode::kOk);
  EXPECT_THAT(out_, HasSubstr("--park-base"));
  EXPECT_THAT(out_, HasSubstr("Exit codes: 0 ok; 1 verdict missed; 2 usage;"));
}

TEST_F(CommandLineTest, HelpOfTheDoctorNamesItsOption) {
  EXPECT_EQ(Run({"doctor", "--help"}), ExitCode::kOk);
  EXPECT_THAT(out_, HasSubstr("--json"));
  EXPECT_THAT(out_, HasSubstr("as JSON"));
}

TEST_F(CommandLineTest, NoSubcommandIsAUsageErrorInOneLine) {
  EXPECT_EQ(Run({}), ExitCode::kUsage);
  EXPECT_THAT(out_, IsEmpty());
  EXPECT_THAT(errors_, StartsWith("vmm: error: "));
  EXPECT_THAT(errors_, EndsWith("; see vmm --help\n"));
}

TEST_F(CommandLineTest, AnOptionThatIsNoneIsSentToTheRightHelp) {
  EXPECT_EQ(Run({"--frob"}), ExitCode::kUsage);
  EXPECT_THAT(errors_, EndsWith("; see vmm --help\n"));
  EXPECT_EQ(Run({"run", "-c", "0", "Image"}), ExitCode::kUsage);
  EXPECT_THAT(errors_, EndsWith("; see vmm run --help\n"));
}

// faults.md B7.
TEST_F(CommandLineTest, AnOptionThatIsNoneIsNamedWithWhatItIsLike) {
  EXPECT_EQ(Run({"run", "--memroy", "1G", "Image"}), ExitCode::kUsage);
  EXPECT_EQ(errors_,
            "vmm: error: there is no option --memroy; is it --memory?; see vmm "
            "run --help\n");
  EXPECT_EQ(Run({"run", "--memroy=1G", "Image"}), ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("no option --memroy; is it --memory?"));
  EXPECT_EQ(Run({"run", "--colour", "Image"}), ExitCode::kUsage);
  EXPECT_EQ(errors_,
            "vmm: error: there is no option --colour; see vmm run --help\n");
  EXPECT_EQ(Run({"run", "Image", "Image2"}), ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("Image2: one kernel is enough"));
  EXPECT_EQ(Run({"run", "Image", "Image2", "--colour"}), ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("there is no option --colour;"));
}

// A mistake in the options is the same in every commit.
TEST_F(CommandLineTest, AUsageErrorStopsABisection) {
  EXPECT_EQ(Run({"run", "--bisect", "--memroy", "1G", "Image"}), kBisectAbort);
  EXPECT_EQ(Run({"run", "-c", "0", "--bisect", "Image"}), kBisectAbort);
  EXPECT_EQ(Run({"run", "--bisect", "Image", "--"}), kBisectAbort);
  EXPECT_EQ(Run({"run", "--bisect", "--config", "/nowhere", "Image"}),
            kBisectAbort);
  EXPECT_EQ(Run({"run", "-c", "0", "Image", "--", "--bisect"}),
            ExitCode::kUsage);
  EXPECT_EQ(Run({"run", "--bisect", "/nowhere/Image"}), kBisectSkip);
}

// faults.md B8.
TEST_F(CommandLineTest, SaysItsVersionAndCommit) {
  EXPECT_EQ(Run({"--version"}), ExitCode::kOk);
  EXPECT_THAT(out_, testing::MatchesRegex("vmm [0-9.]+ \\(commit .+\\)\n"));
}

TEST_F(CommandLineTest, TheDoctorReportsThisHost) {
  const ExitCode expected =
      ExamineHost().usable() ? ExitCode::kOk : ExitCode::kHostCannot;
  EXPECT_EQ(Run({"doctor"}), expected);
  EXPECT_THAT(out_, HasSubstr(" Machine  "));
  EXPECT_FALSE(json::accept(out_));
  EXPECT_EQ(Run({"doctor", "--json"}), expected);
  EXPECT_EQ(json::parse(out_)["usable"], expected == ExitCode::kOk);
}

TEST_F(CommandLineTest, RunTakesItsConfigurationFromAFile) {
  const std::string path = ScratchPath("json");
  std::ofstream(path) << R"({"cpus": 3})";
  EXPECT_EQ(Run({"run", "--dry-run", "--config", path.c_str()}), ExitCode::kOk);
  EXPECT_EQ(json::parse(out_)["cpus"], 3);
  EXPECT_THAT(errors_, IsEmpty());
}

TEST_F(CommandLineTest, AFileThatIsNoConfigurationIsAUsageError) {
  const std::string path = ScratchPath("json");
  std::ofstream(path) << R"({"cpu": 3})";
  EXPECT_EQ(Run({"run", "--dry-run", "--config", path.c_str()}),
            ExitCode::kUsage);
  EXPECT_THAT(out_, IsEmpty());
  EXPECT_EQ(errors_, "vmm: error: --config " + path + ": unknown key cpu\n");
  EXPECT_EQ(Run({"run", "--dry-run", "--config", "/nowhere/file"}),
            ExitCode::kUsage);
  EXPECT_EQ(
      errors_,
      "vmm: error: cannot open /nowhere/file: No such file or directory\n");
}

TEST_F(CommandLineTest, RunWithoutAKernelAsksForOne) {
  EXPECT_EQ(Run({"run"}), ExitCode::kUsage);
  EXPECT_EQ(errors_,
            "vmm: error: which kernel? vmm run [options] KERNEL; see vmm run "
            "--help\n");
}

TEST_F(CommandLineTest, TwoHyphensPrecedeACommandOfTheGuests) {
  for (const auto& words : std::vector<std::vector<const char*>>{
           {"run", "Image", "--"}, {"doctor", "--", "x"}}) {
    EXPECT_EQ(Run(words), ExitCode::kUsage);
    EXPECT_THAT(errors_, HasSubstr("-- precedes a command for the guest"));
  }
  // It is no kernel, and its options are not ours.
  EXPECT_EQ(Run({"run", "--", "Image", "--frobnicate"}), ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("which kernel?"));
}

}  // namespace
}  // namespace vmm
