// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/steps.h"

#include <algorithm>

#include "tools/guest/init/text.h"
#include "vmm/devices/mark_abi.h"

namespace guest_init {

std::vector<HotplugStep> ParseSteps(std::string_view states) {
  std::vector<HotplugStep> steps;
  while (!states.empty()) {
    std::string_view line = states.substr(0, states.find('\n'));
    states.remove_prefix(std::min(line.size() + 1, states.size()));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const size_t colon = line.find(": ");
    if (colon == line.npos) continue;
    const auto number = ParseNumber(line.substr(0, colon), 10);
    if (!number || *number > UINT16_MAX) continue;
    steps.push_back(
        {static_cast<uint16_t>(*number), std::string(line.substr(colon + 2))});
  }
  return steps;
}

uint64_t PackStepName(uint16_t number, std::string_view name) {
  uint64_t value = number;
  const size_t count = std::min<size_t>(name.size(), MARK_STEP_NAME_CHARS);
  for (size_t i = 0; i < count; ++i) {
    value |= uint64_t{static_cast<uint8_t>(name[i])} << (16 + 8 * i);
  }
  return value;
}

}  // namespace guest_init
