// SPDX-License-Identifier: Apache-2.0
// What tools/dev/mutate puts in front of each source: the switch of its
// mutants. One build holds all of them; $MUTATION_ACTIVE names the one that a
// process runs with.
#ifndef PARKVMM_TOOLS_DEV_MUTATION_SWITCH_H_
#define PARKVMM_TOOLS_DEV_MUTATION_SWITCH_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

namespace mutation {

constexpr int kMost = 1 << 20;  // mutation/cpp.py numbers mutants below this.

inline int Active() {
  const char* number = std::getenv("MUTATION_ACTIVE");
  return number == nullptr ? -1 : std::atoi(number);
}

// Returns kMost bytes of the file $MUTATION_RECORD; nullptr if there is none.
inline unsigned char* Record() {
  const char* path = std::getenv("MUTATION_RECORD");
  if (path == nullptr) return nullptr;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) std::abort();
  void* bytes = mmap(nullptr, kMost, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (bytes == MAP_FAILED) std::abort();
  return static_cast<unsigned char*>(bytes);
}

inline const int active = Active();
inline unsigned char* const record = Record();

// Returns whether mutant `id` is the active one, and records that it was
// reached.
inline bool On(int id) {
  if (record != nullptr) __atomic_store_n(&record[id], 1, __ATOMIC_RELAXED);
  return active == id;
}

// The same in a constexpr function. What the compiler works out is never
// mutated.
constexpr bool OnAtRunTime(int id) {
  return !__builtin_is_constant_evaluated() && On(id);
}

}  // namespace mutation

#endif  // PARKVMM_TOOLS_DEV_MUTATION_SWITCH_H_
