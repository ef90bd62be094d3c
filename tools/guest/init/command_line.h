// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_COMMAND_LINE_H_
#define PARKVMM_TOOLS_GUEST_INIT_COMMAND_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace guest_init {

// A kernel command line is words between spaces, which double quotes may
// enclose; what follows a lone "--" is for init. Pure, all of it.

// Takes the next word off the front of `line`; empty at its end.
std::string_view TakeWord(std::string_view& line);

void AppendWord(std::string& line, std::string_view word);

// The value of the last `key=value` before "--"; empty for a bare `key`,
// nothing if the key is not there.
std::optional<std::string_view> FindKey(std::string_view line,
                                        std::string_view key);

// The line with this one `key=value` in place of all there were.
std::string WithKey(std::string_view line, std::string_view key,
                    std::string_view value);

// The line without any `key` or `key=value`.
std::string WithoutKey(std::string_view line, std::string_view key);

enum class KexecCall { kAuto, kLoad, kFile };
enum class End { kPowerOff, kReboot, kHalt, kPanic, kIdle, kHang };

// What the keys that begin with "park." ask for; see README.md.
struct Options {
  uint64_t cycles = 0;
  uint64_t cycle = 0;
  KexecCall kexec = KexecCall::kAuto;
  End end = End::kPowerOff;
  bool offline_all = false;
  bool shell = false;
  std::string module;
  std::string plan;
  bool crash = false;
  bool permute = false;
  bool marks = true;
  bool steps = false;
  // A program's path and its arguments; empty: none.
  std::vector<std::string> program;
  std::vector<std::string> check;
  std::vector<std::string> load;
};

// The options, or one line that says what is wrong with them.
std::variant<Options, std::string> ParseOptions(std::string_view line);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_COMMAND_LINE_H_
