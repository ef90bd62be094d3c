// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
#define PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_

namespace host_unpack {

// Stops the machine, if QEMU has a pvpanic device for that, right behind a
// store of this CPU: a machine whose state is saved there goes on with the next
// instruction. Before that, prints `ready N`: the time in nanoseconds by the
// architected counter, at most kReadyMargin before the store. After it, the CPU
// is busy for a while: QEMU still attends to its monitor then, and if all CPUs
// went idle meanwhile, virtual time could move by a nanosecond or not.
void StopMachine();

inline constexpr long kReadyMargin = 4'000'000;  // ns

// Lets each CPU program its timer. QEMU 7.2 does not restore the timers of EL2,
// which Linux uses where it runs there: until then a CPU that idles would sleep
// for ever.
void RearmTimers();

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
