// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_PSCI_EMUL_PARK_FAULT_H_
#define PARKVMM_PSCI_EMUL_PARK_FAULT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace psci {

// What can go wrong between a CPU that parks and who releases it. Each has a
// stable name for scripts; what was done about it is in the sentence.
enum class ParkFault : uint8_t {
  kReleaseBeforePark,   // exit was there before the CPU.
  kDoubleRelease,       // exit stored again, or of a CPU that runs.
  kReleaseLost,         // The page was wiped before its CPU saw exit.
  kExitNotRam,          //
  kExitMisaligned,      //
  kExitInRegion,        //
  kExitInMmio,          //
  kMagicWithoutCpu,     // Somebody else stored it.
  kCpuWithoutMagic,     // A page with a loop, and nobody came.
  kPageShared,          // A second CPU came to it.
  kPageOfCpu0,          // The page before the region.
  kPagePastRegion,      // A page behind it.
  kPageRewritten,       // The page of a parked CPU was written to.
  kForeignLoop,         // Not the loop that the other CPUs parked with.
  kStaleMagic,          // Of a CPU that left by CPU_ON.
  kCpuOnWhileSpinning,  // CPU_ON of a CPU that runs the old kernel's loop.
  kForeignSlot,         // A CPU tried to park in another one's slot.
  kBadMagic,            // Not the magic.
  kReleaseOfNotParked,  // A slot that holds nobody.
};
inline constexpr size_t kParkFaults =
    static_cast<size_t>(ParkFault::kReleaseOfNotParked) + 1;

// "exit-not-ram".
absl::string_view IdOf(ParkFault fault);
// One sentence, without the CPU, the page and the value.
absl::string_view SentenceOf(ParkFault fault);

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_PARK_FAULT_H_
