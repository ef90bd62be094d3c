// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_PSCI_H_
#define PARKVMM_GUEST_STUB_PSCI_H_

#include <cstdint>

#include "psci-emul/psci_abi.h"

extern "C" {
uint64_t smccc_hvc(uint64_t function, uint64_t x1, uint64_t x2, uint64_t x3);
uint64_t smccc_smc(uint64_t function, uint64_t x1, uint64_t x2, uint64_t x3);
uint64_t smccc_hvc_immediate(uint64_t function, uint64_t x1, uint64_t x2,
                             uint64_t x3);
uint64_t smccc_smc_immediate(uint64_t function, uint64_t x1, uint64_t x2,
                             uint64_t x3);
uint64_t smccc_count_changed(uint64_t function, uint64_t x1, uint64_t x2,
                             uint64_t x3);
}

namespace stub {

// PSCI results are 32 bits wide in SMC32 calls, and all of them fit.
inline int32_t Psci(uint64_t function, uint64_t x1 = 0, uint64_t x2 = 0,
                    uint64_t x3 = 0) {
  return static_cast<int32_t>(smccc_hvc(function, x1, x2, x3));
}

inline int32_t AffinityInfo(uint64_t mpidr, uint64_t level = 0) {
  return Psci(PSCI_AFFINITY_INFO_64, mpidr, level);
}

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_PSCI_H_
