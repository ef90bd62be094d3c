// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/sha256.h"

#include <sha256.h>
#include <sys/types.h>

#include <array>

namespace vmm {

std::string Sha256(absl::Span<const uint8_t> bytes) {
  std::array<char, SHA256_DIGEST_STRING_LENGTH> hex;  // And a terminator.
  SHA256Data(bytes.data(), bytes.size(), hex.data());
  return hex.data();
}

}  // namespace vmm
