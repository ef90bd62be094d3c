// SPDX-License-Identifier: Apache-2.0
#include "vmm/arch/stage1.h"

#include "vmm/arch/bits.h"

namespace vmm {
namespace {

constexpr uint64_t kTcrDs = uint64_t{1} << 59;
constexpr uint64_t kOutputMask = 0xffff'ffff'f000;  // Bits 47:12.
constexpr unsigned kLastLevel = 3;

constexpr uint64_t LowBits(unsigned count) {
  return (uint64_t{1} << count) - 1;
}

// log2 of the page size; 0 if reserved.
unsigned Granule0(uint64_t tcr) {
  constexpr unsigned kShifts[] = {12, 16, 14, 0};
  return kShifts[Bits(tcr, 15, 14)];
}
unsigned Granule1(uint64_t tcr) {
  constexpr unsigned kShifts[] = {0, 14, 12, 16};
  return kShifts[Bits(tcr, 31, 30)];
}

// One of the two halves of the virtual address space.
struct Regime {
  unsigned width;    // Bits of its addresses.
  unsigned granule;  // log2.
  uint64_t table;
};

std::optional<Regime> RegimeOf(const Stage1& stage1, uint64_t address) {
  const uint64_t tcr = stage1.tcr;
  if ((tcr & kTcrDs) != 0) return std::nullopt;
  const bool upper = Bits(address, 55, 55) != 0;
  if (Bits(tcr, upper ? 23 : 7, upper ? 23 : 7) != 0) return std::nullopt;
  const auto unused =
      static_cast<unsigned>(upper ? Bits(tcr, 21, 16) : Bits(tcr, 5, 0));
  const unsigned granule = upper ? Granule1(tcr) : Granule0(tcr);
  if (granule == 0 || unused < 12 || unused > 48) return std::nullopt;
  const unsigned width = 64 - unused;
  // What is above the address but for a tag is all ones or all zeros.
  const uint64_t above = Bits(address, 55, width);
  if (above != (upper ? Bits(UINT64_MAX, 55, width) : 0)) return std::nullopt;
  const auto ttbr = upper ? stage1.ttbr1 : stage1.ttbr0;
  if (!ttbr) return std::nullopt;
  return Regime{width, granule, *ttbr & kOutputMask};
}

}  // namespace

std::optional<GuestAddress> Translate(const Stage1& stage1, uint64_t address,
                                      const GuestMemory& memory) {
  if (!stage1.MmuIsOn()) return GuestAddress(address);
  const auto regime = RegimeOf(stage1, address);
  if (!regime) return std::nullopt;
  const unsigned stride = regime->granule - 3;  // Bits that a level resolves.
  const unsigned levels =
      (regime->width - regime->granule + stride - 1) / stride;
  const uint64_t offset = Bits(address, regime->width - 1, 0);
  uint64_t table = regime->table;
  for (unsigned level = kLastLevel + 1 - levels; level <= kLastLevel; ++level) {
    const unsigned shift = regime->granule + stride * (kLastLevel - level);
    const uint64_t index = offset >> shift & LowBits(stride);
    const auto entry = memory.Load<uint64_t>(GuestAddress(table + index * 8));
    if (!entry || (*entry & 1) == 0) return std::nullopt;
    const bool is_table = (*entry & 2) != 0 && level != kLastLevel;
    if (!is_table) {
      const uint64_t within = LowBits(shift);
      return GuestAddress((*entry & kOutputMask & ~within) | (offset & within));
    }
    table = *entry & kOutputMask & ~LowBits(regime->granule);
  }
  return std::nullopt;
}

}  // namespace vmm
