// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_GUEST_STORE_H_
#define PARKVMM_VMM_PARK_GUEST_STORE_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/memory/guest_memory.h"

// Reads which store a vCPU is about to do, because KVM does not describe a
// store that it refused. The guest wrote everything that is read here: each
// value is checked as it is read, and what is not understood is nullopt, never
// an error.

namespace vmm {

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

#endif  // PARKVMM_VMM_PARK_GUEST_STORE_H_
