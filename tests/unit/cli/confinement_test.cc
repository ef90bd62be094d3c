// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/confinement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "tests/support/call_filter.h"
#include "tests/support/scratch.h"
#include "vmm/sandbox/files.h"
#include "vmm/sandbox/violation.h"

namespace vmm {
namespace {

using testing::Contains;
using testing::IsSupersetOf;
using testing::Not;

class FilesOfTest : public testing::Test {
 protected:
  FilesOfTest() {
    unsetenv("GITHUB_STEP_SUMMARY");
    unsetenv("PARKVMM_ENVIRONMENT");
    options_.kernel = "a/Image";
  }
  ~FilesOfTest() override {
    for (const char* name :
         {"TMPDIR", "GITHUB_STEP_SUMMARY", "PARKVMM_ENVIRONMENT"}) {
      unsetenv(name);
    }
  }

  RunOptions options_;
};

TEST_F(FilesOfTest, InputsAreRead) {
  setenv("PARKVMM_ENVIRONMENT", "/environment", 1);
  setenv("TMPDIR", "/somewhere", 1);
  options_.initrd = "i";
  options_.symbols = "s";
  options_.rootfs = "r";
  options_.next = {"b", "c"};
  const FileRules rules = FilesOf(options_);
  EXPECT_THAT(rules.read, IsSupersetOf({"a/Image", "i", "s", "r", "b", "c",
                                        "/environment", "/proc", "/sys"}));
  EXPECT_THAT(rules.folders, testing::ElementsAre("/somewhere"));
  EXPECT_THAT(rules.devices, Contains("/dev/kvm"));
}

TEST_F(FilesOfTest, OutputsAreMadeInTheirFolders) {
  options_.results = "r.json";
  options_.events = "/e.jsonl";
  options_.dump_dtb = "some/folder/d";
  options_.formats = {"junit:j/x", "text", "tap:k/y", "github"};
  setenv("GITHUB_STEP_SUMMARY", "/github/summary", 1);
  EXPECT_THAT(FilesOf(options_).folders,
              testing::UnorderedElementsAre(".", "/", "some/folder", "j", "k",
                                            "/github"));
  // Only who writes it needs it.
  EXPECT_THAT(FilesOf({.kernel = "k"}).folders, testing::IsEmpty());
  EXPECT_THAT(FilesOf({.kernel = "k", .formats = {"github:g/s"}}).folders,
              testing::ElementsAre("g"));
}

TEST_F(FilesOfTest, ALinkLeadsToTheFolderOfItsFileOrToADevice) {
  const std::string folder = ScratchPath("far");
  mkdir(folder.c_str(), 0777);
  std::ofstream(folder + "/file") << "old";
  options_.results = ScratchPath("link");
  options_.events = ScratchPath("device");
  ASSERT_EQ(symlink((folder + "/file").c_str(), options_.results.c_str()), 0);
  ASSERT_EQ(symlink("/dev/full", options_.events.c_str()), 0);
  const FileRules rules = FilesOf(options_);
  char real[4096];
  ASSERT_NE(realpath(folder.c_str(), real), nullptr);
  EXPECT_THAT(rules.folders, Contains(real));
  EXPECT_THAT(rules.devices, Contains("/dev/full"));
  EXPECT_THAT(rules.folders, Not(Contains("/dev")));
}

TEST_F(FilesOfTest, StdoutIsOpenAlready) {
  options_.results = "-";
  options_.formats = {"tap:-", "ktap:/dev/stdout"};
  const FileRules rules = FilesOf(options_);
  EXPECT_THAT(rules.folders, testing::IsEmpty());
  EXPECT_EQ(rules.devices, FilesOf({.kernel = "k"}).devices);
}

TEST(ConfineProcessTest, OffConfinesNothing) {
  const auto sandbox = ConfineProcess({.seccomp = "off"});
  ASSERT_TRUE(sandbox.ok());
  EXPECT_EQ(*sandbox, nullptr);
}

TEST(ConfineProcessDeathTest, OnConfinesThisThreadAndThoseItIsGivenTo) {
  EXPECT_EXIT(
      {
        const auto sandbox = ConfineProcess({.kernel = "k"});
        if (!sandbox.ok() || *sandbox == nullptr) _exit(3);
        static_cast<void>(syscall(SYS_reboot, 0, 0, 0, nullptr));
        _exit(0);
      },
      testing::ExitedWithCode(kViolationStatus),
      "the thread main made the system call reboot ");
}

TEST(ConfineProcessDeathTest, FilesThatCannotBeConfinedAreAnError) {
  if (LandlockVersion() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_EXIT(
      {
        LackCall(SYS_landlock_restrict_self, E2BIG);
        std::cerr << ConfineProcess({.kernel = "k"}).status().message();
        _exit(0);
      },
      testing::ExitedWithCode(0), "^landlock_restrict_self: ");
}

TEST(ConfineProcessDeathTest, ToABisectionAViolationIsNoFaultOfTheKernels) {
  EXPECT_EXIT(
      {
        if (!ConfineProcess({.kernel = "k", .bisect = true}).ok()) _exit(3);
        static_cast<void>(syscall(SYS_reboot, 0, 0, 0, nullptr));
        _exit(0);
      },
      testing::ExitedWithCode(125), "");
}

TEST(ConfinementCheckTest, TellsTheVersion) {
  const HostCheck check = ConfinementCheck();
  EXPECT_EQ(check.id, "landlock");
  EXPECT_EQ(check.remedy, "");
  EXPECT_EQ(check.value == "no: a run may open any file",
            LandlockVersion() == 0);
}

}  // namespace
}  // namespace vmm
