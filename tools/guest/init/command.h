// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_COMMAND_H_
#define PARKVMM_TOOLS_GUEST_INIT_COMMAND_H_

#include <optional>

#include "tools/guest/init/command_file.h"

namespace guest_init {

// The command that this guest is to run; nothing if there is none. Fails the
// run if its file is damaged.
std::optional<Command> FindCommand();

// Runs it, with the link's streams for its own, as vmm/command/command_abi.h
// says. Returns its status, as shells do, once that and all that it printed has
// left the UART. Fails the run if there is no link.
int RunCommand(const Command& command);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_COMMAND_H_
