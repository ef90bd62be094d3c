// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <pthread.h>

#include <cstddef>
#include <exception>
#include <iostream>

#include "vmm/cli/command_line.h"
#include "vmm/run/exit_code.h"

namespace {

// Of each thread that is started. None recurses or holds a large object, and
// the usual eight megabytes would be room for a huge page.
constexpr size_t kStackBytes = size_t{512} << 10;

void TakeLittleMemory() {
  // Threads hardly allocate: they need no heaps of their own.
  mallopt(M_ARENA_MAX, 1);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0) {
    pthread_setattr_default_np(&attributes);
  }
  pthread_attr_destroy(&attributes);
}

}  // namespace

// Our own code throws nothing; the standard library may run out of memory.
int main(int argc, char** argv) try {
  TakeLittleMemory();
  return static_cast<int>(vmm::RunCommandLine(argc, argv));
} catch (const std::exception& exception) {
  std::cerr << "vmm: error: " << exception.what() << "\n";
  return static_cast<int>(vmm::ExitCode::kVmmBug);
}
