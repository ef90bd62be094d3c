// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/cpu_list.h"

#include <cstdint>

#include "tools/guest/init/text.h"

namespace guest_init {
namespace {

// No kernel has as many; a damaged list must not fill the memory.
constexpr uint64_t kMaxCpu = 1 << 16;

bool AppendRange(std::string_view range, std::vector<unsigned>& cpus) {
  const size_t dash = range.find('-');
  const auto first = ParseNumber(range.substr(0, dash), 10);
  const auto last = dash == range.npos
                        ? first  //
                        : ParseNumber(range.substr(dash + 1), 10);
  if (!first || !last || *first > *last || *last > kMaxCpu) return false;
  for (uint64_t cpu = *first; cpu <= *last; ++cpu) {
    cpus.push_back(static_cast<unsigned>(cpu));
  }
  return true;
}

}  // namespace

std::optional<std::vector<unsigned>> ParseCpuList(std::string_view text) {
  std::vector<unsigned> cpus;
  text = WithoutTrailingSpace(text);
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (!AppendRange(text.substr(0, comma), cpus)) return std::nullopt;
    if (comma == text.npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return std::nullopt;
  }
  return cpus;
}

}  // namespace guest_init
