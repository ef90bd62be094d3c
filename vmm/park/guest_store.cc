// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/guest_store.h"

#include "vmm/arch/bits.h"
#include "vmm/arch/stage1.h"
#include "vmm/arch/store_instruction.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

// The translation of one vCPU; each register is fetched when it is needed, for
// each costs as much as a fifth of the exit.
class Translator {
 public:
  Translator(Vcpu& vcpu, const GuestMemory& memory)
      : vcpu_(vcpu), memory_(memory) {}

  absl::Status Begin() {
    ASSIGN_OR_RETURN(stage1_.sctlr, vcpu_.Read(GuestRegister::kSctlrEl1));
    if (!stage1_.MmuIsOn()) return absl::OkStatus();
    ASSIGN_OR_RETURN(stage1_.tcr, vcpu_.Read(GuestRegister::kTcrEl1));
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<GuestAddress>> At(uint64_t address) {
    if (stage1_.MmuIsOn()) {
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
  const auto word = memory.Load<uint32_t>(GuestAddress(pc));
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
  const auto word = memory.Load<uint32_t>(*store.code);
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
