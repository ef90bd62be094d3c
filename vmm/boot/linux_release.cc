// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/linux_release.h"

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"

namespace vmm {
namespace {

constexpr absl::string_view kBanner = "Linux version ";
constexpr size_t kMostCharacters = 64;  // __NEW_UTS_LEN

}  // namespace

std::optional<std::string> LinuxRelease(absl::string_view kernel) {
  for (size_t at = kernel.find(kBanner); at != absl::string_view::npos;
       at = kernel.find(kBanner, at + 1)) {
    const absl::string_view rest =
        kernel.substr(at + kBanner.size(), kMostCharacters + 1);
    const absl::string_view release = rest.substr(0, rest.find(' '));
    if (release.size() < rest.size() && !release.empty() &&
        absl::ascii_isdigit(static_cast<unsigned char>(release.front())) &&
        absl::c_all_of(release, [](unsigned char character) {
          return absl::ascii_isgraph(character);
        })) {
      return std::string(release);
    }
  }
  return std::nullopt;
}

}  // namespace vmm
