// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_ARCH_STAGE1_H_
#define PARKVMM_VMM_ARCH_STAGE1_H_

#include <cstdint>
#include <optional>

#include "vmm/base/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace vmm {

// EL1's stage 1 translation, as registers hold it (Arm ARM D8).
struct Stage1 {
  uint64_t sctlr = 0;
  uint64_t tcr = 0;
  // Of the lower and of the upper half. What is absent is not translated.
  std::optional<uint64_t> ttbr0 = std::nullopt;
  std::optional<uint64_t> ttbr1 = std::nullopt;

  bool MmuIsOn() const { return (sctlr & 1) != 0; }  // SCTLR_EL1.M
};

// The intermediate physical address of a virtual one. Permissions are not
// looked at: the access got past them. nullopt for what is not mapped, and for
// 52-bit addresses with 4 and 16 KiB pages (FEAT_LPA2). At most 4 loads.
std::optional<GuestAddress> Translate(const Stage1& stage1, uint64_t address,
                                      const GuestMemory& memory);

}  // namespace vmm

#endif  // PARKVMM_VMM_ARCH_STAGE1_H_
