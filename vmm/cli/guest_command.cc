// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/guest_command.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "vmm/base/content.h"
#include "vmm/base/file.h"
#include "vmm/base/status_macros.h"
#include "vmm/cli/kernel_file.h"
#include "vmm/command/archive.h"
#include "vmm/command/command_abi.h"

namespace vmm {
namespace {

constexpr uint64_t kMaxEnvironmentBytes = uint64_t{16} << 20;

// PATH as the caller has it, and where a small root has its programs.
std::string WithUsualFolders(absl::string_view path) {
  std::vector<absl::string_view> folders =
      absl::StrSplit(path, ':', absl::SkipEmpty());
  for (const absl::string_view usual :
       {"/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"}) {
    if (!absl::c_linear_search(folders, usual)) folders.push_back(usual);
  }
  return absl::StrJoin(folders, ":");
}

// Returns the caller's variables. Those of who called tools/vmm are in a file:
// the vmm in the emulated host has others.
absl::StatusOr<std::vector<std::string>> CallersEnvironment() {
  std::vector<std::string> environment;
  if (const char* const file = std::getenv("PARKVMM_ENVIRONMENT")) {
    ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                     ReadFile(file, kMaxEnvironmentBytes));
    return absl::StrSplit(std::string(bytes.begin(), bytes.end()), '\0',
                          absl::SkipEmpty());
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return environment;
}

absl::StatusOr<std::vector<std::string>> CommandsEnvironment() {
  constexpr absl::string_view kPath = "PATH=";
  ASSIGN_OR_RETURN(std::vector<std::string> environment, CallersEnvironment());
  std::string path = WithUsualFolders("");
  std::erase_if(environment, [&](absl::string_view variable) {
    if (absl::StartsWith(variable, "PARKVMM_UNLOCKED=")) return true;  // Ours.
    if (!absl::StartsWith(variable, kPath)) return false;
    path = WithUsualFolders(variable.substr(kPath.size()));
    return true;
  });
  environment.push_back(absl::StrCat(kPath, path));
  return environment;
}

}  // namespace

bool CommandHasTerminal(const RunOptions& options) {
  if (options.tty != "auto") return options.tty == "on";
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

absl::Status AddCommand(const RunOptions& options, MachineSpec& spec) {
  const bool kexecs = options.kexec.value_or(0) > 0;
  if (!options.next.empty() && !kexecs) {
    return absl::InvalidArgumentError(
        "--next needs --kexec: vmm run --kexec N --next NEXT KERNEL -- "
        "COMMAND");
  }
  if (options.command.empty()) {
    if (!options.kexec) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--kexec needs a command: vmm run --kexec N KERNEL -- COMMAND");
  }
  if (options.raw) {
    return absl::InvalidArgumentError(
        "--raw cannot run a command: that takes a Linux kernel");
  }
  if (!spec.initrd.empty() && !CheckInitramfs(spec.initrd).ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--initrd ", options.initrd,
        " is no cpio archive, so no command can be put beside it"));
  }
  std::vector<Content> kernels;  // In the order of kexecs.
  for (const std::string& path : options.next) {
    ASSIGN_OR_RETURN(KernelImage next, ReadKernel(options, path));
    kernels.push_back(std::move(next.content));
  }
  if (kexecs) kernels.push_back(spec.kernel.content);
  ASSIGN_OR_RETURN(std::vector<std::string> environment, CommandsEnvironment());
  spec.initrd =
      Content::Join({CommandArchive({.words = options.command,
                                     .environment = std::move(environment),
                                     .terminal = CommandHasTerminal(options)},
                                    GuestInit(), kernels),
                     spec.initrd});
  // Before the user's words, which may have a "--" in them.
  std::string words = "rdinit=" COMMAND_INIT;
  if (kexecs) {
    absl::StrAppend(&words, " retain_initrd park.cycles=", *options.kexec);
    if (kernels.size() > 1) {
      absl::StrAppend(&words, " park.plan=" COMMAND_PLAN);
    }
  }
  spec.command_line = absl::StrCat(words, spec.command_line.empty() ? "" : " ",
                                   spec.command_line);
  spec.command_link = true;
  return absl::OkStatus();
}

}  // namespace vmm
