// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
#define PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_

#include <string>

namespace host_unpack {

// Stops the machine, if QEMU has a watchdog for that, and returns when it goes
// on and a byte comes from `port`. QEMU stops a running CPU some instructions
// later or sooner; so this one waits for the byte, and the machine stops while
// all CPUs are idle.
void StopMachine(const std::string& port);

// Lets each CPU program its timer. QEMU 7.2 does not restore the timers of EL2,
// which Linux uses where it runs there: until then a CPU that idles would sleep
// for ever.
void RearmTimers();

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
