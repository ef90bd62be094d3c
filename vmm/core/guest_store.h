// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CORE_GUEST_STORE_H_
#define PARKVMM_VMM_CORE_GUEST_STORE_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/memory/guest_memory.h"

// What the instruction at a guest's PC is about to store, and where: KVM does
// not say so of a store that it did not do. Everything here is a reading of
// what the guest wrote, checked as it is read; whatever is not understood is
// nullopt, never an error.

namespace vmm {

// EL1's stage 1 translation, as registers hold it (Arm ARM D8).
struct Stage1 {
  uint64_t sctlr = 0;
  uint64_t tcr = 0;
  // Of the lower and of the upper half. What is absent is not translated.
  std::optional<uint64_t> ttbr0 = std::nullopt;
  std::optional<uint64_t> ttbr1 = std::nullopt;
};

// The intermediate physical address of a virtual one. Permissions are not
// looked at: the access got past them. nullopt for what is not mapped, and for
// 52-bit addresses with 4 and 16 KiB pages (FEAT_LPA2). At most 4 loads.
std::optional<GuestAddress> Translate(const Stage1& stage1, uint64_t address,
                                      const GuestMemory& memory);

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

struct GuestStore {
  uint64_t pc = 0;  // Virtual.
  // Where the instruction lies; nullopt if that could not be found out.
  std::optional<GuestAddress> code;
  struct Data {
    GuestAddress address;
    unsigned size;
    uint64_t value;
  };
  // Where it stores to. Known also of DC ZVA, which zeroes some bytes there.
  std::optional<GuestAddress> target;
  std::optional<Data> data;    // nullopt for any other instruction.
  std::optional<Data> second;  // Right behind it, and in the same page.
};

// On the vCPU's own thread, after StoreRefused or a watched store. An error is
// KVM's. `loops`: where code runs with the MMU off; a PC in there that stores
// into its own page of `page` bytes is taken at its word, for a register that
// need not be fetched is a fifth of an exit. That the MMU is off is not checked
// then: a guest for which it makes a difference has code of its own at the
// address of a park page, and that code stores at the same address.
// `exit`: what Run() returned.
absl::StatusOr<GuestStore> ReadStore(Vcpu& vcpu, const VcpuExit& exit,
                                     const GuestMemory& memory,
                                     GuestRange loops, uint64_t page);

}  // namespace vmm

#endif  // PARKVMM_VMM_CORE_GUEST_STORE_H_
