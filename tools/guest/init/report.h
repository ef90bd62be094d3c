// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_REPORT_H_
#define PARKVMM_TOOLS_GUEST_INIT_REPORT_H_

#include <cstdint>
#include <string_view>

// How the guest's init talks to the world: lines on the console for people,
// marks for the VMM. One process, one console, one mark device: so this is
// state of the program, not an object. Call from one thread only.
namespace guest_init {

// Opens /dev/console; before it, and if there is none, lines go to stderr.
void OpenConsole();

enum class Marks { kNeeded, kWelcome };
// Finds and maps the mark device. False if this machine has none, or if this
// kernel has no /dev/mem and the marks are not needed; then Mark() does
// nothing. Needs /sys and /dev.
bool OpenMarkDevice(Marks marks);

// From here on Mark() does nothing, and Fail() gives no verdict.
void CloseMarkDevice();

// One line on the console, written at once so that no other tears it.
void Say(std::string_view line);

// Waits until what was said has left the UART: writing does not, and what ends
// the machine takes the rest with it.
void DrainConsole();

// Stores a mark; `code` as in vmm/devices/mark_abi.h.
void Mark(uint64_t code, uint64_t value);

// A console line, a FAIL verdict that names the caller's line, power off.
[[noreturn]] void Fail(std::string_view what, int line = __builtin_LINE());

// The same with the text of errno behind `what`.
[[noreturn]] void FailErrno(std::string_view what, int line = __builtin_LINE());

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_REPORT_H_
