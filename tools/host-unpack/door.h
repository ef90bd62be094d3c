// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
#define PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_

#include <string>

namespace host_unpack {

// Stops the machine, if QEMU has a watchdog for that, and returns when it goes
// on and `wake` says so: a file that somebody writes a byte into, or a
// real-time clock /dev/rtc*, whose alarm is set.
//
// QEMU stops a CPU that runs some instructions sooner or later. So all CPUs are
// idle when the machine stops. When it goes on, virtual time may jump to and
// fro between QEMU's own timers until a CPU runs again; an alarm is at a time
// of its own whatever happens before.
void StopMachine(const std::string& wake);

// Lets each CPU program its timer. QEMU 7.2 does not restore the timers of EL2,
// which Linux uses where it runs there: until then a CPU that idles would sleep
// for ever.
void RearmTimers();

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
