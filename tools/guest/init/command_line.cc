// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/command_line.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tools/guest/init/text.h"

namespace guest_init {
namespace {

constexpr std::string_view kPrefix = "park.";

std::string_view KeyOf(std::string_view word) {
  return word.substr(0, word.find('='));
}

std::string_view ValueOf(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == word.npos) return {};
  std::string_view value = word.substr(equals + 1);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  return value;
}

bool SetCount(std::string_view value, uint64_t& count) {
  const auto number = ParseNumber(value, 10);
  if (number) count = *number;
  return number.has_value();
}

template <typename Choice, size_t kSize>
bool SetChoice(
    std::string_view value,
    const std::array<std::pair<std::string_view, Choice>, kSize>& choices,
    Choice& choice) {
  for (const auto& [name, meaning] : choices) {
    if (name == value) {
      choice = meaning;
      return true;
    }
  }
  return false;
}

bool SetKexec(std::string_view value, KexecCall& kexec) {
  static constexpr std::array<std::pair<std::string_view, KexecCall>, 3>
      kChoices = {{{"auto", KexecCall::kAuto},
                   {"load", KexecCall::kLoad},
                   {"file", KexecCall::kFile}}};
  return SetChoice(value, kChoices, kexec);
}

bool SetEnd(std::string_view value, End& end) {
  static constexpr std::array<std::pair<std::string_view, End>, 6> kChoices = {
      {{"poweroff", End::kPowerOff},
       {"reboot", End::kReboot},
       {"halt", End::kHalt},
       {"panic", End::kPanic},
       {"idle", End::kIdle},
       {"hang", End::kHang}}};
  return SetChoice(value, kChoices, end);
}

bool SetPath(std::string_view value, std::string& path) {
  path = value;
  return value.starts_with('/');
}

bool SetWords(std::string_view value, std::vector<std::string>& words) {
  for (auto word = TakeWord(value); !word.empty(); word = TakeWord(value)) {
    words.emplace_back(word);
  }
  return !words.empty() && words.front().starts_with('/');
}

bool SetOption(std::string_view key, std::string_view value, Options& options) {
  if (key == "cycles") return SetCount(value, options.cycles);
  if (key == "cycle") return SetCount(value, options.cycle);
  if (key == "kexec") return SetKexec(value, options.kexec);
  if (key == "end") return SetEnd(value, options.end);
  if (key == "offline") return options.offline_all = value == "all";
  if (key == "shell") return options.shell = value.empty();
  if (key == "exec") return SetWords(value, options.program);
  if (key == "check") return SetWords(value, options.check);
  if (key == "load") return SetWords(value, options.load);
  if (key == "module") return SetPath(value, options.module);
  if (key == "plan") return SetPath(value, options.plan);
  if (key == "crash") return options.crash = value.empty();
  if (key == "permute") return options.permute = value.empty();
  if (key == "marks") {
    options.marks = false;
    return value == "off";
  }
  if (key == "steps") return options.steps = value.empty();
  if (key == "step") return value.empty();  // plan.h
  return false;
}

}  // namespace

std::string_view TakeWord(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(" \n"), line.size());
  line.remove_prefix(begin);
  bool quoted = false;
  size_t end = 0;
  for (; end < line.size(); ++end) {
    if (line[end] == '"') quoted = !quoted;
    if (!quoted && (line[end] == ' ' || line[end] == '\n')) break;
  }
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

void AppendWord(std::string& line, std::string_view word) {
  if (!line.empty()) line += ' ';
  line += word;
}

std::optional<std::string_view> FindKey(std::string_view line,
                                        std::string_view key) {
  std::optional<std::string_view> value;
  for (auto word = TakeWord(line); !word.empty() && word != "--";
       word = TakeWord(line)) {
    if (KeyOf(word) == key) value = ValueOf(word);
  }
  return value;
}

std::string WithKey(std::string_view line, std::string_view key,
                    std::string_view value) {
  std::string result;
  std::string_view word = TakeWord(line);
  for (; !word.empty() && word != "--"; word = TakeWord(line)) {
    if (KeyOf(word) != key) AppendWord(result, word);
  }
  AppendWord(result, key);
  result += '=';
  result += value;
  for (; !word.empty(); word = TakeWord(line)) AppendWord(result, word);
  return result;
}

std::string WithoutKey(std::string_view line, std::string_view key) {
  std::string result;
  for (auto word = TakeWord(line); !word.empty(); word = TakeWord(line)) {
    if (KeyOf(word) != key) AppendWord(result, word);
  }
  return result;
}

std::variant<Options, std::string> ParseOptions(std::string_view line) {
  Options options;
  for (auto word = TakeWord(line); !word.empty() && word != "--";
       word = TakeWord(line)) {
    if (!word.starts_with(kPrefix)) continue;
    const std::string_view key = KeyOf(word).substr(kPrefix.size());
    if (!SetOption(key, ValueOf(word), options)) {
      return "the command line has " + std::string(word) +
             ", which guest-init does not understand";
    }
  }
  return options;
}

}  // namespace guest_init
