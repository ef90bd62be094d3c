// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/guest_store.h"

#include <cstring>
#include <type_traits>

#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

constexpr uint64_t kMmuOn = 1;  // SCTLR_EL1.M
constexpr uint64_t kTcrDs = uint64_t{1} << 59;
constexpr uint64_t kOutputMask = 0xffff'ffff'f000;  // Bits 47:12.
constexpr unsigned kLastLevel = 3;

constexpr uint64_t Bits(uint64_t value, unsigned high, unsigned low) {
  return value >> low & ((uint64_t{1} << (high - low + 1)) - 1);
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
  if (above != (upper ? Bits(~uint64_t{0}, 55, width) : 0)) return std::nullopt;
  const auto ttbr = upper ? stage1.ttbr1 : stage1.ttbr0;
  if (!ttbr) return std::nullopt;
  return Regime{width, granule, *ttbr & kOutputMask};
}

template <typename T>
std::optional<T> Load(const GuestMemory& memory, GuestAddress address) {
  static_assert(std::is_trivially_copyable_v<T>);
  uint8_t bytes[sizeof(T)];
  if (!memory.Read(address, bytes).ok()) return std::nullopt;
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

}  // namespace

std::optional<GuestAddress> Translate(const Stage1& stage1, uint64_t address,
                                      const GuestMemory& memory) {
  if ((stage1.sctlr & kMmuOn) == 0) return GuestAddress(address);
  const auto regime = RegimeOf(stage1, address);
  if (!regime) return std::nullopt;
  const unsigned stride = regime->granule - 3;  // Bits that a level resolves.
  const unsigned levels =
      (regime->width - regime->granule + stride - 1) / stride;
  const uint64_t offset = Bits(address, regime->width - 1, 0);
  uint64_t table = regime->table;
  for (unsigned level = kLastLevel + 1 - levels; level <= kLastLevel; ++level) {
    const unsigned shift = regime->granule + stride * (kLastLevel - level);
    const uint64_t index = offset >> shift & ((uint64_t{1} << stride) - 1);
    const auto entry = Load<uint64_t>(memory, GuestAddress(table + index * 8));
    if (!entry || (*entry & 1) == 0) return std::nullopt;
    const bool is_table = (*entry & 2) != 0 && level != kLastLevel;
    if (!is_table) {
      const uint64_t within = (uint64_t{1} << shift) - 1;
      return GuestAddress((*entry & kOutputMask & ~within) | (offset & within));
    }
    table = *entry & kOutputMask & ~((uint64_t{1} << regime->granule) - 1);
  }
  return std::nullopt;
}

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

namespace {

// The translation of one vCPU; each register is fetched when it is needed, for
// each costs as much as a fifth of the exit.
class Translator {
 public:
  Translator(Vcpu& vcpu, const GuestMemory& memory)
      : vcpu_(vcpu), memory_(memory) {}

  absl::Status Begin() {
    ASSIGN_OR_RETURN(stage1_.sctlr, vcpu_.Read(GuestRegister::kSctlrEl1));
    if ((stage1_.sctlr & kMmuOn) == 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(stage1_.tcr, vcpu_.Read(GuestRegister::kTcrEl1));
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<GuestAddress>> At(uint64_t address) {
    if ((stage1_.sctlr & kMmuOn) != 0) {
      const bool upper = Bits(address, 55, 55) != 0;
      auto& ttbr = upper ? stage1_.ttbr1 : stage1_.ttbr0;
      if (!ttbr) {
        ASSIGN_OR_RETURN(ttbr, vcpu_.Read(upper ? GuestRegister::kTtbr1El1
                                                : GuestRegister::kTtbr0El1));
      }
    }
    return Translate(stage1_, address, memory_);
  }

 private:
  Vcpu& vcpu_;
  const GuestMemory& memory_;
  Stage1 stage1_;
};

absl::StatusOr<uint64_t> ValueOf(Vcpu& vcpu, unsigned reg) {
  constexpr unsigned kZero = 31;
  return reg == kZero ? absl::StatusOr<uint64_t>(0) : vcpu.ReadX(reg);
}

absl::StatusOr<uint64_t> AddressOf(Vcpu& vcpu, const StoreInstruction& store) {
  ASSIGN_OR_RETURN(uint64_t address, vcpu.ReadX(store.base));
  address += static_cast<uint64_t>(store.offset);
  if (store.added) {
    ASSIGN_OR_RETURN(const uint64_t xm, ValueOf(vcpu, store.added->reg));
    address += store.added->Of(xm);
  }
  return address;
}

// A store of one register into the page that `pc` is in, both physical.
absl::StatusOr<std::optional<GuestStore::Data>> ReadOwnStore(
    Vcpu& vcpu, const VcpuExit& exit, const GuestMemory& memory, uint64_t pc,
    uint64_t page) {
  const auto word = Load<uint32_t>(memory, GuestAddress(pc));
  const auto instruction = word ? DecodeStore(*word) : std::nullopt;
  if (!instruction || instruction->second) return std::nullopt;
  uint64_t address;
  if (const auto* const stop = std::get_if<DebugStop>(&exit)) {
    // Any byte of the access will do for a watchpoint.
    address = stop->address & ~uint64_t{instruction->size - 1};
  } else {
    ASSIGN_OR_RETURN(address, AddressOf(vcpu, *instruction));
  }
  if (address / page != pc / page || address % instruction->size != 0) {
    return std::nullopt;
  }
  ASSIGN_OR_RETURN(const uint64_t value, ValueOf(vcpu, instruction->value));
  return GuestStore::Data{GuestAddress(address), instruction->size, value};
}

}  // namespace

absl::StatusOr<GuestStore> ReadStore(Vcpu& vcpu, const VcpuExit& exit,
                                     const GuestMemory& memory,
                                     GuestRange loops, uint64_t page) {
  GuestStore store;
  ASSIGN_OR_RETURN(store.pc, vcpu.Read(GuestRegister::kPc));
  if (loops.Contains(GuestAddress(store.pc))) {
    ASSIGN_OR_RETURN(store.data,
                     ReadOwnStore(vcpu, exit, memory, store.pc, page));
    if (store.data) {
      store.code = GuestAddress(store.pc);
      store.target = store.data->address;
      return store;
    }
  }
  Translator translate(vcpu, memory);
  RETURN_IF_ERROR(translate.Begin());
  ASSIGN_OR_RETURN(store.code, translate.At(store.pc));
  if (!store.code) return store;
  const auto word = Load<uint32_t>(memory, *store.code);
  if (!word) return store;
  if (const auto zeroed = DecodeZeroing(*word)) {
    ASSIGN_OR_RETURN(const uint64_t address, ValueOf(vcpu, *zeroed));
    ASSIGN_OR_RETURN(store.target, translate.At(address));
    return store;
  }
  const auto instruction = DecodeStore(*word);
  if (!instruction) return store;
  ASSIGN_OR_RETURN(const uint64_t address, AddressOf(vcpu, *instruction));
  ASSIGN_OR_RETURN(const uint64_t value, ValueOf(vcpu, instruction->value));
  const unsigned size = instruction->size;
  // What crosses a page may go to two places.
  constexpr uint64_t kSmallestPage = 4096;
  const uint64_t bytes = instruction->second ? 2 * size : size;
  if (address % size != 0 || address % kSmallestPage + bytes > kSmallestPage) {
    return store;
  }
  ASSIGN_OR_RETURN(const auto where, translate.At(address));
  if (!where) return store;
  store.target = where;
  store.data = {*where, size, value};
  if (instruction->second) {
    ASSIGN_OR_RETURN(const uint64_t next, ValueOf(vcpu, *instruction->second));
    store.second = {GuestAddress(where->value() + size), size, next};
  }
  return store;
}

}  // namespace vmm
