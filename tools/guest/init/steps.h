// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_STEPS_H_
#define PARKVMM_TOOLS_GUEST_INIT_STEPS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace guest_init {

struct HotplugStep {
  uint16_t number = 0;
  std::string name;
};

// The lines of /sys/devices/system/cpu/hotplug/states, " 44: sched:active";
// what is none does not count. Pure.
std::vector<HotplugStep> ParseSteps(std::string_view states);

// The value of MARK_CODE_STEP_NAME: the number, and the name's first
// characters. Pure.
uint64_t PackStepName(uint16_t number, std::string_view name);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_STEPS_H_
