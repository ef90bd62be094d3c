// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
#define PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_

#include <string>

namespace host_unpack {

// Stops the machine, if QEMU has two watchdogs for that, and returns when it
// goes on and `wake` says so: a file that somebody writes a byte into, or a
// real-time clock /dev/rtc*, whose alarm is set.
//
// QEMU stops a CPU that runs some instructions sooner or later. So all CPUs are
// idle when a watchdog stops the machine. Even then virtual time jumps to the
// next timer, whose interrupt comes before the stop or not. So that timer is
// another watchdog's, which has no interrupt. When the machine goes on, virtual
// time may jump again until a CPU runs; an alarm is at a time of its own
// whatever happens before.
void StopMachine(const std::string& wake);

// Lets each CPU program its timer. QEMU 7.2 does not restore the timers of EL2,
// which Linux uses where it runs there: until then a CPU that idles would sleep
// for ever.
void RearmTimers();

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_DOOR_H_
