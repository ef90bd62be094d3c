// SPDX-License-Identifier: Apache-2.0
// Any words and any configuration file for `vmm run --dry-run`: it prints JSON,
// or says in lines that a terminal can show what is wrong, and nothing throws.
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzzer.h"
#include "vmm/cli/bisect.h"
#include "vmm/cli/command_line.h"

namespace {

constexpr size_t kMostWords = 12;
constexpr const char* kOptions[] = {
    "--initrd",      "--params", "--cpus",      "--memory",   "--psci",
    "--firmware",    "--park",   "--park-base", "--seed",     "--timeout",
    "--panic-grace", "--kexec",  "--max",       "--on-reset", "--allow-splat",
    "--label",       "--format", "--tty",       "--next",     "--expect-kexecs",
    "--raw",         "--strict", "--bisect",    "--arm",      "--idle-states",
    "--results",     "--events", "--symbols",   "--rootfs",   "--",
    "--park-node",
};

// The smallest Image that is one.
std::vector<uint8_t> SmallImage() {
  std::vector<uint8_t> image(64);
  image[18] = 0x10;  // image_size: 1 MiB.
  image[24] = 0x0a;  // Flags: 4 KiB pages, anywhere.
  std::copy_n("ARMd", 4, image.begin() + 56);
  return image;
}

// Paths lead nowhere: what is read would be this machine's. An argument has no
// NUL.
std::string Harmless(std::string word) {
  for (size_t i = 0; i < word.size(); ++i) {
    const bool leads = i == 0 || word[i - 1] == '=' || word[i - 1] == ':' ||
                       word[i - 1] == '.';
    if (word[i] == '\0' || (word[i] == '/' && leads)) word[i] = '_';
  }
  return word;
}

// Somewhere without files.
void GoNowhere() {
  static const bool gone = [] {
    char folder[] = "/tmp/parkvmm-fuzz.XXXXXX";
    return mkdtemp(folder) != nullptr && chdir(folder) == 0 &&
           rmdir(folder) == 0;
  }();
  FUZZ_CHECK(gone);
}

vmm::ExitCode Run(const std::vector<std::string>& words,
                  fuzz::Captured& captured) {
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  const vmm::ExitCode code = vmm::RunCommandLine(
      static_cast<int>(argv.size()), argv.data(),
      [](vmm::MachineSpec&, const vmm::MachinePlan&,
         const vmm::SessionOptions&) -> absl::StatusOr<vmm::SessionResult> {
        fuzz::Violation(__FILE__, __LINE__, "a dry run has run");
      });
  captured.Stop();
  return code;
}

}  // namespace

FUZZ_TARGET(options) {
  GoNowhere();
  const auto how = input.Take<uint8_t>();
  std::vector<std::string> words = {"vmm", "run", "--dry-run"};
  if ((how & 1) != 0) words.push_back(fuzz::FileOf(SmallImage(), 1));
  for (size_t i = (how >> 2) % kMostWords; i > 0 && !input.empty(); --i) {
    const auto option = input.Take<uint8_t>();
    if (option < std::size(kOptions)) words.emplace_back(kOptions[option]);
    words.push_back(Harmless(input.TakeText(input.TakeBelow(64))));
  }
  if ((how & 2) != 0) {
    const auto after_words = std::find(words.begin(), words.end(), "--");
    words.insert(after_words, "--config=" + fuzz::FileOf(input.TakeRest(), 2));
  }
  fuzz::Captured captured;
  const vmm::ExitCode code = Run(words, captured);
  FUZZ_CHECK(code == vmm::ExitCode::kOk || code == vmm::ExitCode::kUsage ||
             code == vmm::ExitCode::kHostCannot || code == vmm::kBisectAbort ||
             code == vmm::kBisectSkip);
  FUZZ_CHECK_TEXT(fuzz::IsPrintable(captured.output(), true),
                  captured.output());
  FUZZ_CHECK_TEXT(fuzz::IsPrintable(captured.errors(), true),
                  captured.errors());
  size_t complaints = 0;
  for (const absl::string_view line :
       absl::StrSplit(captured.errors(), '\n', absl::SkipEmpty())) {
    FUZZ_CHECK_TEXT(absl::StartsWith(line, "vmm: "), line);
    complaints += absl::StartsWith(line, "vmm: error: ") ? 1 : 0;
  }
  FUZZ_CHECK_TEXT(complaints == (code == vmm::ExitCode::kOk ? 0u : 1u),
                  captured.errors());
  if (absl::StartsWith(captured.output(), "{")) {
    FUZZ_CHECK_TEXT(nlohmann::json::accept(captured.output()),
                    captured.output());
  }
}
