// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/guest_root.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/scratch.h"

namespace vmm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class GuestRootTest : public testing::Test {
 protected:
  GuestRootTest() {
    fs::create_directories(fs::path(folder_) / "sbin");
    options_.rootfs = folder_;
    spec_.command_line = "quiet";
  }
  ~GuestRootTest() override { fs::remove_all(folder_); }
  void Add(const std::string& name) const {
    std::ofstream(fs::path(folder_) / name) << "x";
  }
  std::string Refusal() {
    const absl::Status status = AddRoot(options_, spec_);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  const std::string folder_ = ScratchPath("root");
  RunOptions options_;
  MachineSpec spec_;
};

TEST_F(GuestRootTest, LinuxIsToldWhatStartsIt) {
  Add("sbin/init");
  ASSERT_TRUE(AddRoot(options_, spec_).ok());
  EXPECT_EQ(spec_.command_line, "rdinit=/sbin/init quiet");
  EXPECT_FALSE(spec_.initrd.empty());
}

TEST_F(GuestRootTest, WhereLinuxKnowsNothingIsSaid) {
  Add("init");
  ASSERT_TRUE(AddRoot(options_, spec_).ok());
  EXPECT_EQ(spec_.command_line, "quiet");
}

TEST_F(GuestRootTest, WhoNamesAProgramIsHeard) {
  Add("sbin/init");
  spec_.command_line = "rdinit=/bin/mine";
  ASSERT_TRUE(AddRoot(options_, spec_).ok());
  EXPECT_EQ(spec_.command_line, "rdinit=/bin/mine");
}

TEST_F(GuestRootTest, ACommandNeedsNoInit) {
  Add("program");
  EXPECT_THAT(Refusal(), HasSubstr("has nothing that Linux would start"));
  options_.command = {"/program"};
  ASSERT_TRUE(AddRoot(options_, spec_).ok());
  EXPECT_EQ(spec_.command_line, "quiet");
}

TEST_F(GuestRootTest, WithoutOneNothingChanges) {
  options_.rootfs = "";
  ASSERT_TRUE(AddRoot(options_, spec_).ok());
  EXPECT_TRUE(spec_.initrd.empty());
  EXPECT_EQ(spec_.command_line, "quiet");
}

TEST_F(GuestRootTest, TheFirstRootIsOne) {
  options_.initrd = "initrd";
  EXPECT_THAT(Refusal(), HasSubstr("--initrd and --rootfs"));
}

TEST_F(GuestRootTest, AFlatBinaryHasNone) {
  options_.raw = true;
  EXPECT_THAT(Refusal(), HasSubstr("--raw has no use for --rootfs"));
}

}  // namespace
}  // namespace vmm
