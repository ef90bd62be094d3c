// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_KEXEC_H_
#define PARKVMM_TOOLS_GUEST_INIT_KEXEC_H_

#include <string>

#include "tools/guest/init/command_line.h"

namespace guest_init {

struct NextKernel {
  KexecCall call = KexecCall::kAuto;
  bool crash = false;    // To be entered when this one panics.
  bool permute = false;  // Its devicetree has the CPUs in another order.
  std::string path;
  std::string command_line;
  std::string old_command_line;  // The running kernel's.
};

// Fails the run, with what is missing, if this kernel cannot load the next one.
// Changes nothing.
void RequireKexec(const NextKernel& next);

// Loads it, with the initrd we booted from, for kexec. Fails the run if that is
// impossible.
void LoadNextKernel(const NextKernel& next);

// Jumps into the loaded kernel. Fails the run if Linux refuses.
[[noreturn]] void EnterNextKernel();

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_KEXEC_H_
