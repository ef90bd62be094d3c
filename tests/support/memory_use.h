// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_MEMORY_USE_H_
#define PARKVMM_TESTS_SUPPORT_MEMORY_USE_H_

#include <sys/resource.h>

#include <functional>

namespace vmm {

// Whether the process never had as much more memory as `mib` while it did this.
// For a process of its own: what it had before counts.
inline bool TakesLessThan(long mib, const std::function<void()>& work) {
  const auto most_kib = [] {
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const long before = most_kib();
  work();
  return most_kib() - before < mib << 10;
}

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_MEMORY_USE_H_
