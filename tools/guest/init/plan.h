// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_PLAN_H_
#define PARKVMM_TOOLS_GUEST_INIT_PLAN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace guest_init {

// What is kexec'd into: a file, and words for its command line.
struct Step {
  std::string kernel;
  std::string words;
};

// A plan has a step in each line: a path, and words. Kexec number `cycle` (from
// 0) takes its line, and after the last one the first again. Blank lines do not
// count. Or one line that says what is wrong with it. Pure.
std::variant<Step, std::string> StepOf(std::string_view plan, uint64_t cycle);

// The next kernel's command line: the running one's, but for what its own step
// added, and this step's words behind it. Pure.
std::string LineForStep(std::string_view line, const Step& step);

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_PLAN_H_
