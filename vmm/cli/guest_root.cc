// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/guest_root.h"

#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "vmm/base/content.h"
#include "vmm/base/status_macros.h"
#include "vmm/command/root_archive.h"

namespace vmm {
namespace {

constexpr uint64_t kMaxInitrdBytes = uint64_t{8} << 30;
constexpr absl::string_view kLinuxStarts = "/init";

absl::Status AddInitrd(const std::string& path, MachineSpec& spec) {
  ASSIGN_OR_RETURN(spec.initrd, Content::Open(path, kMaxInitrdBytes));
  if (!spec.initrd.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--initrd ", path, " is empty; leave it out, or see why"));
}

absl::Status AddRootFileSystem(const RunOptions& options, MachineSpec& spec) {
  ASSIGN_OR_RETURN(RootArchive root, ReadRoot(options.rootfs));
  spec.initrd = std::move(root.archive);
  // A command is started by what comes with it; a user may know better.
  if (!options.command.empty() ||
      absl::StrContains(spec.command_line, "rdinit=")) {
    return absl::OkStatus();
  }
  if (root.init.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--rootfs ", options.rootfs,
        " has nothing that Linux would start, such as /init or /sbin/init; "
        "say a COMMAND, or its name: -p rdinit=/some/program"));
  }
  if (root.init != kLinuxStarts) {
    spec.command_line =
        absl::StrCat("rdinit=", root.init, spec.command_line.empty() ? "" : " ",
                     spec.command_line);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AddRoot(const RunOptions& options, MachineSpec& spec) {
  if (!options.initrd.empty() && !options.rootfs.empty()) {
    return absl::InvalidArgumentError(
        "--initrd and --rootfs are both the guest's first root; say one");
  }
  if (!options.rootfs.empty() && options.raw) {
    return absl::InvalidArgumentError(
        "--raw has no use for --rootfs: that takes a Linux kernel");
  }
  if (!options.initrd.empty()) return AddInitrd(options.initrd, spec);
  if (!options.rootfs.empty()) return AddRootFileSystem(options, spec);
  return absl::OkStatus();
}

}  // namespace vmm
