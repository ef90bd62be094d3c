// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_INITRD_H_
#define PARKVMM_TOOLS_GUEST_INIT_INITRD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/guest/init/kcore.h"

namespace guest_init {

// Where the initrd that this kernel was booted with can be read: in a file of
// Linux's, in pieces.
struct Initrd {
  std::string path;
  std::vector<Piece> pieces;

  size_t size() const;
};

// Finds the initrd. Linux keeps it if `command_line` has `retain_initrd`. From
// 6.8 on it is a file of its own, before that it is found in /proc/kcore.
// Fails the run, with what is missing, if it cannot be had.
Initrd FindInitrd(std::string_view command_line);

// Fills `target`, which has initrd.size() bytes. Fails the run if Linux does
// not give all of it.
void ReadInitrd(const Initrd& initrd, std::span<uint8_t> target);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_INITRD_H_
