// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_SCRATCH_H_
#define PARKVMM_TESTS_SUPPORT_SCRATCH_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace vmm {

// A folder of this process alone, until it exits.
class ScratchFolder {
 public:
  ScratchFolder() {
    path_ = testing::TempDir() + "parkvmm.XXXXXX";
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (getpid() == owner_) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  const pid_t owner_ = getpid();  // A death test's child leaves it alone.
  std::string path_;
};

// Returns a path for a file of this test alone.
inline std::string ScratchPath(const std::string& name) {
  static const ScratchFolder folder;
  const auto* const test =
      testing::UnitTest::GetInstance()->current_test_info();
  return folder.path() + "/" + test->test_suite_name() + "." + test->name() +
         "." + name;
}

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_SCRATCH_H_
