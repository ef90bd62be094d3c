// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_LINUX_RELEASE_H_
#define PARKVMM_VMM_BOOT_LINUX_RELEASE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace vmm {

// Returns the release that an unpacked kernel gives itself in its banner, such
// as "6.12.117+deb12-cloud-arm64": what `uname -r` says in it (Linux,
// init/version-timestamp.c). Nothing if there is no banner, or if what stands
// there is no release: at most 64 printable characters of ASCII, without a
// space.
std::optional<std::string> LinuxRelease(absl::string_view kernel);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_LINUX_RELEASE_H_
