// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/sha256.h"

#include <sha256.h>
#include <sys/types.h>

namespace vmm {

std::string Sha256(absl::Span<const uint8_t> bytes) {
  std::string hex(SHA256_DIGEST_STRING_LENGTH, '\0');
  SHA256Data(bytes.data(), bytes.size(), hex.data());
  hex.pop_back();  // The terminator.
  return hex;
}

}  // namespace vmm
