// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_SMCCC_H_
#define PARKVMM_PSCI_EMUL_SMCCC_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "psci-emul/psci_abi.h"

namespace psci {

// One SMCCC call as the guest made it: W0, and X1 to X3.
struct SmcccCall {
  uint32_t function = 0;
  std::array<uint64_t, 3> args = {};
};

// SMC32 calls carry 32-bit arguments: what the guest left in the upper halves
// is not part of the call (DEN0028 3.1). The one place that knows.
constexpr SmcccCall Narrowed(SmcccCall call) {
  if ((call.function & SMCCC_SMC64) == 0) {
    for (uint64_t& arg : call.args) arg = static_cast<uint32_t>(arg);
  }
  return call;
}

// How many of X1 to X3 `function` reads: 0 for what we do not implement.
// Fetching a register costs an ioctl, so the caller fetches no more.
unsigned ArgumentCount(uint32_t function);

// Whether the Dispatcher implements `function`: what PSCI_FEATURES answers.
bool IsImplemented(uint32_t function);

// "CPU_ON", the same for its 32-bit and 64-bit form; "unknown" otherwise.
absl::string_view FunctionName(uint32_t function);

// What PSCI answered, "ALREADY_ON"; "unknown" for what it has no word for.
absl::string_view ReturnName(int64_t answer);

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_SMCCC_H_
