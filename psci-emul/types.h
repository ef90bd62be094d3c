// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_TYPES_H_
#define PARKVMM_PSCI_EMUL_TYPES_H_

#include <cstdint>

#include "psci-emul/psci_abi.h"

namespace psci {

// Index of a vCPU as the VMM created it; 0 boots.
enum class VcpuId : uint32_t {};

constexpr uint32_t Index(VcpuId id) { return static_cast<uint32_t>(id); }

// An MPIDR_EL1 cut down to its affinity fields (MPIDR_AFFINITY_MASK).
enum class Mpidr : uint64_t {};

constexpr Mpidr AffinityOf(uint64_t mpidr_el1) {
  return Mpidr{mpidr_el1 & MPIDR_AFFINITY_MASK};
}

// Where a vCPU starts: `entry` is a guest physical address, `context_id`
// lands in X0 (DEN0022 5.6, CPU_ON).
struct BootContext {
  uint64_t entry = 0;
  uint64_t context_id = 0;
  friend bool operator==(const BootContext&, const BootContext&) = default;
};

// What PSCI calls return in X0.
enum class Status : int32_t {
  kSuccess = PSCI_RET_SUCCESS,
  kNotSupported = PSCI_RET_NOT_SUPPORTED,
  kInvalidParameters = PSCI_RET_INVALID_PARAMETERS,
  kDenied = PSCI_RET_DENIED,
  kAlreadyOn = PSCI_RET_ALREADY_ON,
  kOnPending = PSCI_RET_ON_PENDING,
  kInternalFailure = PSCI_RET_INTERNAL_FAILURE,
  kInvalidAddress = PSCI_RET_INVALID_ADDRESS,
};

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_TYPES_H_
