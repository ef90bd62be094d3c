// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_SYSTEM_H_
#define PARKVMM_TOOLS_GUEST_INIT_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Small things every part of the guest's init needs from Linux.
namespace guest_init {

inline std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// All of a file, also one of /proc or /sys; nothing, and errno, if not.
std::optional<std::string> ReadFile(const std::string& path);

// Writes `text` in one go, as sysfs wants it. False, and errno, if not.
bool WriteFile(const std::string& path, std::string_view text);

// The CPUs that are online. Fails the run if Linux does not say.
std::vector<unsigned> OnlineCpus();

// Loads a kernel module from a file. Fails the run if Linux refuses it.
void LoadModule(const std::string& path);

// Runs a program in a child and waits for it; a negative deadline waits for
// ever, a child that misses it is killed. `terminal`, if given, becomes its
// standard streams and its controlling terminal. False if it could not start.
bool RunProgram(const std::vector<std::string>& words, int deadline_ms,
                const std::string& terminal = "");

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_SYSTEM_H_
