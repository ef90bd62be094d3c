// SPDX-License-Identifier: Apache-2.0
#include "vmm/arch/store_instruction.h"

#include "vmm/arch/bits.h"

namespace vmm {

uint64_t StoreInstruction::Added::Of(uint64_t xm) const {
  const auto word = static_cast<uint32_t>(xm);
  if (is_word) {
    xm = is_signed ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(word)})
                   : word;
  }
  return xm << shift;
}

// Arm ARM C4.1.94, "Loads and Stores".
std::optional<StoreInstruction> DecodeStore(uint32_t instruction) {
  constexpr unsigned kStackPointer = 31;
  StoreInstruction store = {
      .size = 1u << (instruction >> 30),
      .value = instruction & 31,
      .base = instruction >> 5 & 31,
  };
  if ((instruction & 0x3fc00000) == 0x39000000) {  // STR, unsigned offset.
    store.offset = static_cast<int64_t>(Bits(instruction, 21, 10)) * store.size;
  } else if ((instruction & 0x3fe00c00) == 0x38000000) {  // STUR.
    const auto imm9 = static_cast<int64_t>(Bits(instruction, 20, 12));
    store.offset = imm9 >= 256 ? imm9 - 512 : imm9;
  } else if ((instruction & 0x3fe04c00) == 0x38204800) {  // STR, register.
    store.added = StoreInstruction::Added{
        .reg = instruction >> 16 & 31,
        .shift = Bits(instruction, 12, 12) != 0 ? instruction >> 30 : 0,
        .is_word = Bits(instruction, 13, 13) == 0,
        .is_signed = Bits(instruction, 15, 15) != 0};
  } else if ((instruction & 0x7e400000) == 0x28000000 &&  // STNP, STP
             (instruction & 0x00800000) == 0) {           // without writeback.
    store.size = (instruction >> 31) != 0 ? 8 : 4;
    const auto imm7 = static_cast<int64_t>(Bits(instruction, 21, 15));
    store.offset = (imm7 >= 64 ? imm7 - 128 : imm7) * store.size;
    store.second = instruction >> 10 & 31;
  } else if ((instruction & 0x3ffffc00) != 0x089ffc00) {  // STLR.
    return std::nullopt;
  }
  if (store.base == kStackPointer) return std::nullopt;
  return store;
}

std::optional<unsigned> DecodeZeroing(uint32_t instruction) {
  if ((instruction & 0xffffffe0) != 0xd50b7420) return std::nullopt;
  return instruction & 31;
}

}  // namespace vmm
