// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/kcore.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace guest_init {
namespace {

static_assert(sizeof(Elf64_Ehdr) == kElfHeaderBytes);

// Linux puts the program headers right behind the header.
constexpr uint64_t kMaxHeadersOffset = uint64_t{64} << 10;
// pread() takes no higher offset.
constexpr uint64_t kMaxOffset = std::numeric_limits<int64_t>::max();

template <typename T>
T At(std::span<const uint8_t> bytes, uint64_t offset) {
  T value;  // Guest and test machines are both little-endian.
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

bool IsCore(const Elf64_Ehdr& header) {
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_type == ET_CORE &&
         header.e_phentsize == sizeof(Elf64_Phdr);
}

// Returns the segments with memory whose place in the file can be read.
std::vector<Elf64_Phdr> Segments(std::span<const uint8_t> headers) {
  const auto header = At<Elf64_Ehdr>(headers, 0);
  std::vector<Elf64_Phdr> segments;
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment =
        At<Elf64_Phdr>(headers, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_LOAD && segment.p_offset <= kMaxOffset &&
        segment.p_filesz <= kMaxOffset - segment.p_offset) {
      segments.push_back(segment);
    }
  }
  return segments;
}

// Virtual memory has the physical address -1 there, which nothing lies behind.
bool Holds(const Elf64_Phdr& segment, uint64_t address) {
  return address >= segment.p_paddr &&
         address - segment.p_paddr < segment.p_filesz;
}

}  // namespace

std::optional<size_t> ProgramHeadersEnd(std::span<const uint8_t> start) {
  if (start.size() < kElfHeaderBytes) return std::nullopt;
  const auto header = At<Elf64_Ehdr>(start, 0);
  const uint64_t size = uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (!IsCore(header) || header.e_phoff < kElfHeaderBytes ||
      header.e_phoff > kMaxHeadersOffset) {
    return std::nullopt;
  }
  return header.e_phoff + size;
}

std::optional<std::vector<Piece>> FindMemory(std::span<const uint8_t> headers,
                                             const Range& memory) {
  const auto end = ProgramHeadersEnd(headers);
  if (!end || headers.size() < *end) return std::nullopt;
  const std::vector<Elf64_Phdr> segments = Segments(headers);
  std::vector<Piece> pieces;
  // Each turn leaves a segment behind: there are no more turns than segments.
  for (uint64_t at = memory.begin; at < memory.end;) {
    const auto segment = std::find_if(
        segments.begin(), segments.end(),
        [&](const Elf64_Phdr& candidate) { return Holds(candidate, at); });
    if (segment == segments.end()) return std::nullopt;
    const uint64_t before = at - segment->p_paddr;
    const uint64_t size = std::min(segment->p_filesz - before, memory.end - at);
    pieces.push_back({segment->p_offset + before, size});
    at += size;
  }
  return pieces;
}

}  // namespace guest_init
