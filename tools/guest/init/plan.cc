// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/plan.h"

#include <algorithm>
#include <vector>

#include "tools/guest/init/command_line.h"

namespace guest_init {
namespace {

// Behind this word, a command line is its step's. Linux takes it for a module's
// parameter, and lets it be.
constexpr std::string_view kStepsWords = "park.step";

std::vector<std::string_view> StepLines(std::string_view plan) {
  std::vector<std::string_view> lines;
  while (!plan.empty()) {
    const std::string_view line = plan.substr(0, plan.find('\n'));
    plan.remove_prefix(std::min(line.size() + 1, plan.size()));
    if (line.find_first_not_of(" \t\r") != line.npos) lines.push_back(line);
  }
  return lines;
}

}  // namespace

std::variant<Step, std::string> StepOf(std::string_view plan, uint64_t cycle) {
  const std::vector<std::string_view> lines = StepLines(plan);
  if (lines.empty()) return "the plan has no steps";
  std::string_view line = lines[cycle % lines.size()];
  const std::string_view kernel = TakeWord(line);
  if (!kernel.starts_with('/')) {
    return "the plan has " + std::string(kernel) + ", which is no path";
  }
  return Step{.kernel = std::string(kernel), .words = std::string(line)};
}

std::string LineForStep(std::string_view line, const Step& step) {
  std::string result;
  for (auto word = TakeWord(line); !word.empty() && word != kStepsWords;
       word = TakeWord(line)) {
    AppendWord(result, word);
  }
  AppendWord(result, kStepsWords);
  for (std::string_view words = step.words, word = TakeWord(words);
       !word.empty(); word = TakeWord(words)) {
    AppendWord(result, word);
  }
  return result;
}

}  // namespace guest_init
