// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_TEXT_H_
#define PARKVMM_TOOLS_GUEST_INIT_TEXT_H_

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace guest_init {

// All of `text` as a number without sign or prefix; else nothing. Pure.
inline std::optional<uint64_t> ParseNumber(std::string_view text, int base) {
  uint64_t number = 0;
  const auto [rest, error] =
      std::from_chars(text.begin(), text.end(), number, base);
  if (error != std::errc() || rest != text.end()) return std::nullopt;
  return number;
}

// How many run or want to, by what /proc/loadavg holds: "0.20 0.18 0.12 1/80
// 9".
inline std::optional<uint64_t> ParseRunnable(std::string_view loadavg) {
  const std::string_view before = loadavg.substr(0, loadavg.find('/'));
  if (before.size() == loadavg.size()) return std::nullopt;
  return ParseNumber(before.substr(before.rfind(' ') + 1), 10);
}

inline std::string_view WithoutTrailingSpace(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \n") + 1);
}

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_TEXT_H_
