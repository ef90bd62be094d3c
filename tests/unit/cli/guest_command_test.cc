// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/guest_command.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/support/scratch.h"
#include "vmm/command/command_abi.h"

namespace vmm {
namespace {

using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using Bytes = std::vector<uint8_t>;

// A file that begins as an arm64 Image does, and ends with `text`.
std::string WriteImage(const std::string& name, const std::string& text) {
  constexpr size_t kHeaderBytes = 64;
  constexpr size_t kMagicAt = 56;
  std::string image(kHeaderBytes, '\0');
  image.replace(kMagicAt, 4, "ARMd");
  const std::string path = ScratchPath(name);
  std::ofstream(path) << image << text;
  return path;
}

class GuestCommandTest : public testing::Test {
 protected:
  GuestCommandTest() {
    spec_.kernel.content = Content(Bytes{'I', 'm', 'a', 'g', 'e'});
    spec_.command_line = "console=ttyAMA0 -- theirs";
    options_.command = {"sh", "-c", "true"};
  }
  std::string Initrd() const {
    const Bytes bytes = spec_.initrd.ReadAll().value();
    return {bytes.begin(), bytes.end()};
  }
  std::vector<std::string> Strings() const {
    return absl::StrSplit(Initrd(), '\0');
  }

  RunOptions options_;
  MachineSpec spec_;
};

TEST_F(GuestCommandTest, WithoutOneNothingChanges) {
  options_.command.clear();
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_FALSE(spec_.command_link);
  EXPECT_TRUE(spec_.initrd.empty());
  EXPECT_EQ(spec_.command_line, "console=ttyAMA0 -- theirs");
}

TEST_F(GuestCommandTest, LiesBeforeTheUsersInitrd) {
  const std::string theirs = "070701theirs";
  spec_.initrd = Content(Bytes(theirs.begin(), theirs.end()));
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_TRUE(spec_.command_link);
  EXPECT_EQ(spec_.command_line,
            "rdinit=/.parkvmm/init console=ttyAMA0 -- theirs");
  EXPECT_THAT(Initrd(),
              EndsWith(std::string("TRAILER!!!\0\0\0\0", 14) + theirs));
  EXPECT_THAT(Initrd(), Not(HasSubstr(COMMAND_KERNEL)));
}

TEST_F(GuestCommandTest, ToKexecItTakesTheKernelAlong) {
  options_.kexec = 3;
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_THAT(spec_.command_line, HasSubstr("retain_initrd park.cycles=3 "));
  EXPECT_THAT(Strings(), Contains("Image"));
}

TEST_F(GuestCommandTest, KernelsTakeTurnsAndItsOwnIsTheLast) {
  options_.kexec = 3;
  options_.next = {WriteImage("next", "other")};
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_THAT(spec_.command_line,
              HasSubstr("park.cycles=3 park.plan=/.parkvmm/plan "));
  const std::string initrd = Initrd();
  EXPECT_THAT(initrd, HasSubstr("/.parkvmm/Image1\n/.parkvmm/Image2\n"));
  EXPECT_LT(initrd.find("ARMd"), initrd.find(".parkvmm/Image2"));
  EXPECT_THAT(initrd, HasSubstr("other"));
}

TEST_F(GuestCommandTest, ANextKernelThatIsNoneIsTheUsersMistake) {
  options_.kexec = 1;
  options_.next = {ScratchPath("empty")};
  std::ofstream(options_.next[0]) << "";
  EXPECT_EQ(AddCommand(options_, spec_).code(),
            absl::StatusCode::kInvalidArgument);
  options_.next = {ScratchPath("none")};
  EXPECT_THAT(AddCommand(options_, spec_).message(), HasSubstr("none"));
  options_.kexec.reset();
  EXPECT_THAT(AddCommand(options_, spec_).message(),
              HasSubstr("--next needs --kexec"));
}

TEST_F(GuestCommandTest, HasTheCallersEnvironmentAndAPathToTheUsualFolders) {
  setenv("TRIAL", "a\nb", 1);
  setenv("PATH", "/mine:/bin", 1);
  setenv("PARKVMM_UNLOCKED", "x", 1);
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_THAT(Strings(), Contains("TRIAL=a\nb"));
  EXPECT_THAT(
      Strings(),
      Contains("PATH=/mine:/bin:/usr/local/bin:/usr/bin:/usr/sbin:/sbin"));
  EXPECT_THAT(Initrd(), Not(HasSubstr("PARKVMM_UNLOCKED")));
}

TEST_F(GuestCommandTest, TheEnvironmentMayBeInAFile) {
  const std::string path = ScratchPath("environment");
  std::ofstream(path) << std::string("A=1\0B=2\0", 8);
  setenv("PARKVMM_ENVIRONMENT", path.c_str(), 1);
  setenv("TRIAL", "not this", 1);
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_THAT(Strings(), Contains("A=1"));
  EXPECT_THAT(Strings(), Contains("B=2"));
  EXPECT_THAT(Initrd(), Not(HasSubstr("TRIAL")));
  unsetenv("PARKVMM_ENVIRONMENT");
}

TEST_F(GuestCommandTest, WhatCannotBeIsRefused) {
  const auto refusal = [&] {
    const absl::Status status = AddCommand(options_, spec_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  options_.initrd = "disk.img";
  spec_.initrd = Content(Bytes(2048));
  EXPECT_THAT(refusal(), HasSubstr("disk.img is no cpio archive"));
  options_.raw = true;
  EXPECT_THAT(refusal(), HasSubstr("--raw cannot run a command"));
  options_.command.clear();
  options_.kexec = 1;
  EXPECT_THAT(refusal(), HasSubstr("--kexec needs a command"));
}

TEST_F(GuestCommandTest, ATerminalIsWhatTheUserSays) {
  options_.tty = "on";
  EXPECT_TRUE(CommandHasTerminal(options_));
  ASSERT_TRUE(AddCommand(options_, spec_).ok());
  EXPECT_THAT(Strings(), Contains(COMMAND_TERMINAL));
  options_.tty = "off";
  EXPECT_FALSE(CommandHasTerminal(options_));
}

TEST_F(GuestCommandTest, ATerminalIsOneToReadFromAndToWriteTo) {
  int user = -1;
  int terminal = -1;
  ASSERT_EQ(openpty(&user, &terminal, nullptr, nullptr, nullptr), 0);
  const int no_terminal = open("/dev/null", O_RDWR | O_CLOEXEC);
  const auto has_terminal = [&](int input, int output) {
    const int before[] = {dup(STDIN_FILENO), dup(STDOUT_FILENO)};
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    const bool answer = CommandHasTerminal(options_);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
      dup2(before[fd], fd);
      close(before[fd]);
    }
    return answer;
  };
  EXPECT_TRUE(has_terminal(terminal, terminal));
  EXPECT_FALSE(has_terminal(no_terminal, terminal));
  EXPECT_FALSE(has_terminal(terminal, no_terminal));
  for (const int fd : {user, terminal, no_terminal}) close(fd);
}

}  // namespace
}  // namespace vmm
