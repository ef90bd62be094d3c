// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/confinement.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "vmm/base/file.h"
#include "vmm/base/status_macros.h"
#include "vmm/cli/bisect.h"
#include "vmm/cli/formats.h"
#include "vmm/command/root_archive.h"
#include "vmm/run/terminal.h"
#include "vmm/sandbox/violation.h"

namespace vmm {
namespace {

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// An output is a new file in its folder, or in that of the file that it is a
// link to. What is no regular file is written to as it is, and a stream of this
// process is open already.
void AddOutput(const std::string& path, FileRules& rules) {
  if (path.empty() || OwnStream(path) >= 0) return;
  rules.folders.push_back(FolderOf(path));
  char real[PATH_MAX];
  struct stat status = {};
  if (realpath(path.c_str(), real) == nullptr || stat(real, &status) != 0) {
    return;
  }
  if (S_ISREG(status.st_mode)) {
    rules.folders.push_back(FolderOf(real));
  } else {
    rules.devices.emplace_back(real);
  }
}

std::string Variable(const char* name) {
  const char* const value = getenv(name);
  return value ? value : "";
}

}  // namespace

FileRules FilesOf(const RunOptions& options) {
  FileRules rules;
  // What the host is, and what it says of this process and its binary.
  rules.read = {"/proc",          "/sys",
                "/proc/self/exe", options.kernel,
                options.initrd,   options.rootfs,
                options.symbols,  Variable("PARKVMM_ENVIRONMENT")};
  rules.read.insert(rules.read.end(), options.next.begin(), options.next.end());
  rules.devices = {"/dev/kvm", "/dev/null"};
  if (!options.rootfs.empty()) {
    rules.folders.push_back(FolderForUnpacking());
  }
  for (const std::string& path :
       {options.events, options.results, options.dump_dtb}) {
    AddOutput(path, rules);
  }
  for (const std::string& text : options.formats) {
    const auto format = ParseFormat(text);
    if (!format.ok()) continue;
    const bool of_step =
        format->kind == Format::Kind::kGithub && format->path.empty();
    AddOutput(of_step ? Variable("GITHUB_STEP_SUMMARY") : format->path, rules);
  }
  return rules;
}

HostCheck ConfinementCheck() {
  const int version = LandlockVersion();
  return {.id = "landlock",
          .title = "Landlock",
          .value = version > 0 ? absl::StrCat("version ", version)
                               : "no: a run may open any file",
          .remedy = ""};
}

absl::StatusOr<std::unique_ptr<const Sandbox>> Unconfined(const RunOptions&) {
  return nullptr;
}

absl::StatusOr<std::unique_ptr<const Sandbox>> ConfineProcess(
    const RunOptions& options) {
  if (options.seccomp == "off") return nullptr;
  EndOnViolation(RestoreTerminal, options.bisect ? static_cast<int>(kBisectSkip)
                                                 : kViolationStatus);
  auto sandbox = std::make_unique<const SeccompSandbox>(
      options.seccomp == "log" ? Seccomp::kLog : Seccomp::kOn);
  RETURN_IF_ERROR(ConfineFiles(FilesOf(options)));
  RETURN_IF_ERROR(sandbox->Enter(ThreadKind::kMain, "main"));
  return sandbox;
}

}  // namespace vmm
