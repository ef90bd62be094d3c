// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_OPTION_DEFINER_H_
#define PARKVMM_VMM_CLI_OPTION_DEFINER_H_

#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vmm {

// An option that is being defined, or none. Its methods are CLI::Option's.
class Definition {
 public:
  // CLI11's way to ask: an error, or none. It may change the text.
  using Check = std::string (*)(std::string& text);

  // nullptr: none.
  explicit Definition(CLI::Option* option) : option_(option) {}

  Definition& type_name(const char* name) {
    if (option_) option_->type_name(name);
    return *this;
  }
  Definition& default_str(const char* text) {
    if (option_) option_->default_str(text);
    return *this;
  }
  Definition& allow_extra_args(bool value) {
    if (option_) option_->allow_extra_args(value);
    return *this;
  }
  Definition& take_all() {
    if (option_) option_->take_all();
    return *this;
  }
  Definition& check(Check how) {
    if (option_) option_->check(CLI::Validator(how, "", ""));
    return *this;
  }
  Definition& transform(Check how) {
    if (option_) option_->transform(CLI::Validator(how, "", ""));
    return *this;
  }
  // It takes one of the words, which have bars between them.
  Definition& one_of(const char* words);

 private:
  CLI::Option* option_;
};

// Adds options to a command, but none that no word of the command line can
// mean: CLI11 compares each one with all that are there, and for all of ours
// that takes as long as a small guest's start.
class OptionDefiner {
 public:
  // All options are defined if there are no words, and if one of them asks for
  // help or for a file that may name any option. `words` outlive this.
  OptionDefiner(CLI::App& command, absl::Span<const char* const> words);

  // As CLI::App's.
  template <typename T>
  Definition add_option(const char* names, T& value, const char* text) {
    return Definition(
        IsAskedFor(names) ? command_.add_option(names, value, text) : nullptr);
  }
  Definition add_flag(const char* names, bool& value, const char* text) {
    return Definition(IsAskedFor(names) ? command_.add_flag(names, value, text)
                                        : nullptr);
  }

 private:
  bool IsAskedFor(absl::string_view names) const;

  CLI::App& command_;
  const absl::Span<const char* const> words_;
  const bool all_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_OPTION_DEFINER_H_
