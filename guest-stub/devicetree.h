// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_DEVICETREE_H_
#define PARKVMM_GUEST_STUB_DEVICETREE_H_

#include <cstdint>

#include "guest-stub/board.h"

namespace stub {

// What the devicetree says that board.h cannot know.
struct Machine {
  uint32_t cpus = 0;
  uint64_t mpidrs[board::kMaxCpus] = {};
  bool gic_v3 = false;
  uint64_t ram_size = 0;
  char bootargs[256] = {};
};

// The boot CPU, once, before anything else of it.
void ReadDevicetree(const void* blob);

const Machine& ThisMachine();

// Of a word `name=NUMBER` in /chosen/bootargs.
uint64_t Argument(const char* name, uint64_t otherwise);
// Whether `word` is one of them.
bool HasArgument(const char* word);

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_DEVICETREE_H_
