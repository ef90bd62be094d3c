// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_SYSTEM_H_
#define PARKVMM_TOOLS_GUEST_INIT_SYSTEM_H_

#include <sys/types.h>

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

// Starts a program in a child. `terminal`, if given, becomes its standard
// streams and its controlling terminal. Nothing, and errno, if there can be no
// child; one that is no program ends with kCannotStart.
std::optional<pid_t> StartProgram(const std::vector<std::string>& words,
                                  const std::string& terminal = "");
inline constexpr int kCannotStart = 127;

// Starts it and waits for its end; a negative deadline waits for ever, a child
// that misses it is killed. Its exit status, or as in shells 128 and the
// signal.
int RunProgram(const std::vector<std::string>& words, int deadline_ms,
               const std::string& terminal = "");

// Whether a child has ended.
bool HasEnded(pid_t child);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_SYSTEM_H_
