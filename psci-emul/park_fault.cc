// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/park_fault.h"

namespace psci {
namespace {

struct Text {
  absl::string_view id;
  absl::string_view sentence;
};

constexpr Text TextOf(ParkFault fault) {
  switch (fault) {
    case ParkFault::kReleaseBeforePark:
      return {"release-before-park",
              "exit held an address before the CPU had parked; it was released "
              "at once"};
    case ParkFault::kDoubleRelease:
      return {"double-release",
              "a CPU was released that had been released or turned on already; "
              "the second release did nothing"};
    case ParkFault::kReleaseLost:
      return {"release-lost",
              "the page was wiped before its CPU had seen exit; the CPU is "
              "lost"};
    case ParkFault::kExitNotRam:
      return {"exit-not-ram",
              "exit is no address in RAM; the CPU stays parked"};
    case ParkFault::kExitMisaligned:
      return {"exit-misaligned",
              "exit is not a multiple of 4; the CPU stays parked"};
    case ParkFault::kExitInRegion:
      return {"exit-in-region",
              "exit lies in the park region itself; the CPU stays parked"};
    case ParkFault::kExitInMmio:
      return {"exit-in-mmio",
              "exit is a device's address; the CPU stays parked"};
    case ParkFault::kMagicWithoutCpu:
      return {"magic-without-cpu",
              "a page holds the magic and no CPU; whoever waits for it is "
              "deceived"};
    case ParkFault::kCpuWithoutMagic:
      return {"cpu-without-magic",
              "a page was prepared, others were used, and its CPU did not park "
              "within a second"};
    case ParkFault::kPageShared:
      return {
          "page-shared",
          "two CPUs parked in one page; the second can be started by CPU_ON "
          "only"};
    case ParkFault::kPageOfCpu0:
      return {"page-of-cpu0",
              "a CPU parked in the page before the region, which CPU 0 would "
              "have; only CPU_ON can start it"};
    case ParkFault::kPagePastRegion:
      return {"page-past-region",
              "a CPU parked in a page behind the region; only CPU_ON can start "
              "it"};
    case ParkFault::kPageRewritten:
      return {"page-rewritten",
              "the page of a parked CPU was written to, and it was no release"};
    case ParkFault::kForeignLoop:
      return {"foreign-loop",
              "a CPU parked with another loop than those before it; a next "
              "kernel that compares loops will not take it back"};
    case ParkFault::kStaleMagic:
      return {
          "stale-magic",
          "a page kept the magic of a CPU that had left it; it was cleared"};
    case ParkFault::kCpuOnWhileSpinning:
      return {"cpu-on-while-spinning",
              "CPU_ON was refused: the CPU still runs the old kernel's park "
              "loop"};
    case ParkFault::kForeignSlot:
      return {"park-foreign-slot",
              "a CPU tried to park in another CPU's slot; it was refused"};
    case ParkFault::kBadMagic:
      return {"park-bad-magic",
              "what a CPU stored to park is not the magic; it was refused"};
    case ParkFault::kReleaseOfNotParked:
      return {"release-not-parked",
              "a slot was released that holds no parked CPU; it was refused"};
  }
  return {"?", "?"};
}

}  // namespace

absl::string_view IdOf(ParkFault fault) { return TextOf(fault).id; }
absl::string_view SentenceOf(ParkFault fault) { return TextOf(fault).sentence; }

}  // namespace psci
