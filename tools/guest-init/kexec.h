// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_KEXEC_H_
#define PARKVMM_TOOLS_GUEST_INIT_KEXEC_H_

#include <string>

#include "tools/guest-init/command_line.h"

namespace guest_init {

// Loads /boot/Image, with the initrd we booted from, for kexec. Fails the run
// if that is impossible.
void LoadNextKernel(KexecCall how, const std::string& command_line);

// Jumps into the loaded kernel. Fails the run if Linux refuses.
[[noreturn]] void EnterNextKernel();

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_KEXEC_H_
