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
  bool park_device = false;
  uint64_t ram_size = 0;
  uint64_t initrd = 0;
  uint64_t initrd_end = 0;
  const void* devicetree = nullptr;
  char bootargs[256] = {};
};

// The boot CPU, once, before anything else of it.
void ReadDevicetree(const void* blob);

const Machine& ThisMachine();

// Of a word `name=NUMBER` in /chosen/bootargs; hexadecimal if it begins with
// 0x.
uint64_t Argument(const char* name, uint64_t otherwise);
// Whether `word` is one of them.
bool HasArgument(const char* word);

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_DEVICETREE_H_
