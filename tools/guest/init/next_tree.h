// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_NEXT_TREE_H_
#define PARKVMM_TOOLS_GUEST_INIT_NEXT_TREE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/guest/init/segments.h"

namespace guest_init {

// What the next kernel's devicetree says under /chosen; all else stays.
struct Chosen {
  std::string bootargs;
  Range initrd;
  Range usable;  // Of a crash kernel: the memory that it may use. Else empty.
  // The running kernel wiped both from its tree, or used them up.
  uint64_t kaslr_seed = 0;
  std::vector<uint8_t> rng_seed;  // Empty: none.
};

// Memory that `tree` reserves, by entry or by a child of /reserved-memory;
// nothing if it is no devicetree. Pure.
std::optional<std::vector<Range>> ReservedRanges(std::span<const uint8_t> tree);

// Returns where /chosen of `tree` says that the initrd is; nothing if it does
// not, or if `tree` is damaged. Pure.
std::optional<Range> InitrdIn(std::span<const uint8_t> tree);

enum class CpuOrder { kKept, kReversed };

// `tree` with `chosen` in it, and its cpu nodes in this order; nothing if it is
// damaged. Pure.
std::optional<std::vector<uint8_t>> MakeNextTree(
    std::span<const uint8_t> tree, const Chosen& chosen,
    CpuOrder order = CpuOrder::kKept);

// The first region of a `reg` property of 2 address and 2 size cells. Pure.
std::optional<Range> DecodeReg(std::span<const uint8_t> reg);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_NEXT_TREE_H_
