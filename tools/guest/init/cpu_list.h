// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_CPU_LIST_H_
#define PARKVMM_TOOLS_GUEST_INIT_CPU_LIST_H_

#include <optional>
#include <string_view>
#include <vector>

namespace guest_init {

// Linux's CPU list format, such as "0-3,8\n"; an empty list is valid. Nothing
// if it is anything else. Pure.
std::optional<std::vector<unsigned>> ParseCpuList(std::string_view text);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_CPU_LIST_H_
