// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_SCRATCH_H_
#define PARKVMM_TESTS_SUPPORT_SCRATCH_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace vmm {

// Returns a path for a file of this test alone. ctest runs each test as a
// process of its own, several at a time, and the builds of several clones share
// one /tmp.
inline std::string ScratchPath(const std::string& name) {
  const auto* const test =
      testing::UnitTest::GetInstance()->current_test_info();
  return testing::TempDir() + test->test_suite_name() + "." + test->name() +
         "." + std::to_string(getpid()) + "." + name;
}

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_SCRATCH_H_
