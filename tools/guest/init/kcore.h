// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_KCORE_H_
#define PARKVMM_TOOLS_GUEST_INIT_KCORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tools/guest/init/segments.h"

// Finds physical memory in /proc/kcore, an ELF core file of the running kernel.
// The functions are pure.
namespace guest_init {

// Consecutive bytes of a file.
struct Piece {
  uint64_t offset = 0;
  uint64_t size = 0;

  bool operator==(const Piece&) const = default;
};

inline constexpr size_t kElfHeaderBytes = 64;

// Returns how many bytes from the beginning of the file hold the ELF header and
// all program headers. `start` has at least kElfHeaderBytes of the file.
// Returns nothing if they are not those of a 64-bit little-endian core file.
std::optional<size_t> ProgramHeadersEnd(std::span<const uint8_t> start);

// Returns the pieces of the file that hold `memory`, in the order of physical
// addresses. `headers` has as many bytes of the file as ProgramHeadersEnd()
// says. Returns nothing if a byte of `memory` is not in the file.
std::optional<std::vector<Piece>> FindMemory(std::span<const uint8_t> headers,
                                             const Range& memory);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_KCORE_H_
