// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/files.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

// Version 3's, which the headers of Debian 12 lack.
constexpr uint64_t kTruncate = uint64_t{1} << 14;

constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kReadFolder = kRead | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWrite = kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr uint64_t kMake =
    kWrite | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;

// All rights of version 1.
constexpr uint64_t kVersion1 = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

uint64_t RightsOf(int version) {
  uint64_t rights = kVersion1;
  if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) rights |= kTruncate;
  return rights;
}

absl::Status Allow(int ruleset, const std::string& path, uint64_t rights) {
  const UniqueFd file(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!file.valid()) return absl::OkStatus();
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) return ErrnoStatus(path);
  // Rights about what is in a folder are none of a file.
  const bool is_folder = S_ISDIR(status.st_mode);
  const landlock_path_beneath_attr rule = {
      .allowed_access = is_folder ? rights : rights & kWrite,
      .parent_fd = file.get()};
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
              0) == 0) {
    return absl::OkStatus();
  }
  // A pipe behind /dev/stdin or /dev/fd/N is in no folder: Landlock has no rule
  // for it and lets it be opened.
  if (errno == EBADFD) return absl::OkStatus();
  return ErrnoStatus("landlock_add_rule " + path);
}

}  // namespace

int LandlockVersion() {
  const auto version = syscall(SYS_landlock_create_ruleset, nullptr, 0,
                               LANDLOCK_CREATE_RULESET_VERSION);
  return static_cast<int>(std::max<decltype(version)>(version, 0));
}

absl::Status ConfineFiles(const FileRules& rules) {
  const int version = LandlockVersion();
  if (version == 0) return absl::OkStatus();
  const uint64_t all = RightsOf(version);
  const landlock_ruleset_attr handled = {.handled_access_fs = all};
  const UniqueFd ruleset(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0)));
  if (!ruleset.valid()) return ErrnoStatus("landlock_create_ruleset");
  for (const std::string& path : rules.read) {
    RETURN_IF_ERROR(Allow(ruleset.get(), path, kReadFolder & all));
  }
  for (const std::string& path : rules.devices) {
    RETURN_IF_ERROR(Allow(ruleset.get(), path, kWrite & all));
  }
  for (const std::string& path : rules.folders) {
    RETURN_IF_ERROR(Allow(ruleset.get(), path, (kMake | kReadFolder) & all));
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoStatus("no_new_privs");
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return ErrnoStatus("landlock_restrict_self");
  }
  return absl::OkStatus();
}

}  // namespace vmm
