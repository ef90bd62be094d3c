// SPDX-License-Identifier: Apache-2.0
// Any registers and any tables: a walk reads guest RAM only, and finds what a
// walk by the Arm ARM's own words finds (D8.2), which is written here anew.
#include <optional>

#include "tests/fuzz/fuzzer.h"
#include "vmm/arch/stage1.h"

namespace {

using vmm::GuestAddress;
using vmm::GuestMemory;
using vmm::GuestRange;

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x20000;
constexpr uint64_t kAddressMask = 0x0000fffffffff000;

uint64_t Field(uint64_t value, unsigned low, unsigned bits) {
  return (value >> low) % (uint64_t{1} << bits);
}

// RAM as the input filled it; nullopt outside.
std::optional<uint64_t> WordAt(absl::Span<const uint8_t> ram, uint64_t at) {
  if (at < kRam || at > kRam + kSize - 8) return std::nullopt;
  uint64_t word = 0;
  for (uint64_t i = 0; i < 8; ++i) {
    const uint64_t index = at - kRam + i;
    const uint64_t byte = index < ram.size() ? ram[index] : 0;
    word |= byte << (8 * i);
  }
  return word;
}

std::optional<uint64_t> Walk(const vmm::Stage1& stage1, uint64_t address,
                             absl::Span<const uint8_t> ram) {
  if (Field(stage1.sctlr, 0, 1) == 0) return address;
  if (Field(stage1.tcr, 59, 1) != 0) return std::nullopt;  // FEAT_LPA2.
  const bool upper = Field(address, 55, 1) != 0;
  const uint64_t size = Field(stage1.tcr, upper ? 16 : 0, 6);
  const bool disabled = Field(stage1.tcr, upper ? 23 : 7, 1) != 0;
  const uint64_t granule = Field(stage1.tcr, upper ? 30 : 14, 2);
  static constexpr unsigned kLower[] = {12, 16, 14, 0};
  static constexpr unsigned kUpper[] = {0, 14, 12, 16};
  const unsigned page = upper ? kUpper[granule] : kLower[granule];
  const auto base = upper ? stage1.ttbr1 : stage1.ttbr0;
  if (disabled || page == 0 || size < 12 || size > 48 || !base) {
    return std::nullopt;
  }
  const auto width = static_cast<unsigned>(64 - size);
  for (unsigned bit = width; bit < 56; ++bit) {
    if ((Field(address, bit, 1) != 0) != upper) return std::nullopt;
  }
  // How many bits are left to resolve, from the first level down.
  const unsigned per_level = page - 3;
  unsigned levels = 0;
  while (page + levels * per_level < width) ++levels;
  if (levels > 4) return std::nullopt;
  uint64_t table = *base & kAddressMask;
  for (; levels > 0; --levels) {
    const unsigned low = page + (levels - 1) * per_level;
    const unsigned bits = std::min(per_level, width - low);
    const auto entry = WordAt(ram, table + 8 * Field(address, low, bits));
    if (!entry || Field(*entry, 0, 1) == 0) return std::nullopt;
    if (levels == 1 || Field(*entry, 1, 1) == 0) {
      const uint64_t within = Field(address, 0, std::min(low, width));
      const uint64_t output = *entry & kAddressMask;
      return output - output % (uint64_t{1} << low) + within;
    }
    const uint64_t next = *entry & kAddressMask;
    table = next - next % (uint64_t{1} << page);
  }
  return std::nullopt;
}

}  // namespace

FUZZ_TARGET(page_walk) {
  vmm::Stage1 stage1;
  const auto which = input.Take<uint8_t>();
  stage1.sctlr = which & 1;
  stage1.tcr = input.Take<uint64_t>();
  if ((which & 2) != 0) stage1.ttbr0 = input.Take<uint64_t>();
  if ((which & 4) != 0) stage1.ttbr1 = input.Take<uint64_t>();
  const auto address = input.Take<uint64_t>();
  // RAM may be full to its end: a table's last entry lies there.
  const size_t begin = (which & 8) != 0 ? kSize - 0x1000 : 0;
  static GuestMemory& memory = *new GuestMemory(
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize)));
  static std::vector<uint8_t>& ram = *new std::vector<uint8_t>(kSize);
  const auto tables = input.TakeBytes(0x1000);
  std::copy(tables.begin(), tables.end(),
            ram.begin() + static_cast<ptrdiff_t>(begin));
  FUZZ_CHECK(memory.Write(GuestAddress(kRam + begin), tables).ok());
  const auto found = vmm::Translate(stage1, address, memory);
  const auto expected = Walk(stage1, address, ram);
  FUZZ_CHECK(found.has_value() == expected.has_value());
  if (found) FUZZ_CHECK(found->value() == *expected);
  const std::vector<uint8_t> zeros(tables.size());
  std::copy(zeros.begin(), zeros.end(),
            ram.begin() + static_cast<ptrdiff_t>(begin));
  FUZZ_CHECK(memory.Write(GuestAddress(kRam + begin), zeros).ok());
}
