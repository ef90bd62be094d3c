// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/option_definer.h"

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace vmm {
namespace {

// Whether `word` may say an option that is called `name`. A word of one hyphen
// may say several, or the first of them and its value.
bool MaySay(absl::string_view word, absl::string_view name) {
  if (absl::StartsWith(name, "--")) return absl::StartsWith(word, name);
  return absl::StartsWith(word, "-") && !absl::StartsWith(word, "--") &&
         absl::StrContains(word, name[1]);
}

bool AnySays(absl::Span<const char* const> words, absl::string_view name) {
  return absl::c_any_of(
      words, [name](absl::string_view word) { return MaySay(word, name); });
}

}  // namespace

Definition& Definition::one_of(const char* words) {
  if (option_ == nullptr) return *this;
  // CLI11's own check does as much, and takes longer to be made.
  option_->check(CLI::Validator(
      [words](std::string& text) {
        const auto known = absl::StrSplit(words, '|');
        for (const absl::string_view word : known) {
          if (text == word) return std::string();
        }
        return absl::StrCat(text, " is not one of ", words);
      },
      "", ""));
  return *this;
}

OptionDefiner::OptionDefiner(CLI::App& command,
                             absl::Span<const char* const> words)
    : command_(command),
      words_(words),
      all_(words.empty() || AnySays(words, "--help") || AnySays(words, "-h") ||
           AnySays(words, "--config")) {
  command.option_defaults()->always_capture_default();
}

bool OptionDefiner::IsAskedFor(absl::string_view names) const {
  if (all_ || !absl::StartsWith(names, "-")) return true;
  for (const absl::string_view name : absl::StrSplit(names, ',')) {
    if (AnySays(words_, name)) return true;
  }
  return false;
}

}  // namespace vmm
