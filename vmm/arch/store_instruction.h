// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_ARCH_STORE_INSTRUCTION_H_
#define PARKVMM_VMM_ARCH_STORE_INSTRUCTION_H_

#include <cstdint>
#include <optional>

namespace vmm {

// A store of one or two general registers without writeback, at [Xn + offset]
// or [Xn, Xm]: STR, STUR, STLR, STP, STNP. What compilers make of an
// assignment, or of two.
struct StoreInstruction {
  unsigned size = 0;                              // Bytes of a register.
  unsigned value = 0;                             // Xt; 31 is zero.
  unsigned base = 0;                              // Xn, 0 to 30.
  int64_t offset = 0;                             // Bytes.
  std::optional<unsigned> second = std::nullopt;  // Xt2.
  // Xm, of which all 64 bits or the lower 32, extended, are shifted and added.
  struct Added {
    unsigned reg = 0;    // 31 is zero.
    unsigned shift = 0;  // Left.
    bool is_word = false;
    bool is_signed = false;
    friend bool operator==(const Added&, const Added&) = default;
    uint64_t Of(uint64_t xm) const;
  };
  std::optional<Added> added = std::nullopt;
  friend bool operator==(const StoreInstruction&,
                         const StoreInstruction&) = default;
};
std::optional<StoreInstruction> DecodeStore(uint32_t instruction);
// DC ZVA, Xn: n.
std::optional<unsigned> DecodeZeroing(uint32_t instruction);

}  // namespace vmm

#endif  // PARKVMM_VMM_ARCH_STORE_INSTRUCTION_H_
