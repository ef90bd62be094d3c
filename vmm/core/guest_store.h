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

// A store of one or two general registers at [Xn + offset] without writeback:
// STR, STUR, STLR, STP, STNP. What compilers make of an assignment, or of two.
struct StoreInstruction {
  unsigned size = 0;                              // Bytes of a register.
  unsigned value = 0;                             // Xt; 31 is zero.
  unsigned base = 0;                              // Xn, 0 to 30.
  int64_t offset = 0;                             // Bytes.
  std::optional<unsigned> second = std::nullopt;  // Xt2.
  friend bool operator==(const StoreInstruction&,
                         const StoreInstruction&) = default;
};
std::optional<StoreInstruction> DecodeStore(uint32_t instruction);

struct GuestStore {
  uint64_t pc = 0;  // Virtual.
  // Where the instruction lies; nullopt if that could not be found out.
  std::optional<GuestAddress> code;
  struct Data {
    GuestAddress address;
    unsigned size;
    uint64_t value;
  };
  std::optional<Data> data;    // nullopt for any other instruction.
  std::optional<Data> second;  // Right behind it, and in the same page.
};

// On the vCPU's own thread, after StoreRefused or a watched store. An error is
// KVM's.
absl::StatusOr<GuestStore> ReadStore(Vcpu& vcpu, const GuestMemory& memory);

}  // namespace vmm

#endif  // PARKVMM_VMM_CORE_GUEST_STORE_H_
