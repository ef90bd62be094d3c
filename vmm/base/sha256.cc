// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/sha256.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

constexpr uint64_t kChunk = 64 << 10;

class Hasher {
 public:
  Hasher() { sha256_init(&context_); }
  void Add(absl::Span<const uint8_t> bytes) {
    sha256_update(&context_, bytes.size(), bytes.data());
  }
  std::string Hex() {
    std::array<uint8_t, SHA256_DIGEST_SIZE> digest;
    sha256_digest(&context_, digest.size(), digest.data());
    return absl::BytesToHexString(absl::string_view(
        reinterpret_cast<const char*>(digest.data()), digest.size()));
  }

 private:
  sha256_ctx context_;
};

}  // namespace

std::string Sha256(absl::Span<const uint8_t> bytes) {
  Hasher hasher;
  hasher.Add(bytes);
  return hasher.Hex();
}

absl::StatusOr<std::string> Sha256(const Content& content) {
  Hasher hasher;
  std::vector<uint8_t> chunk(std::min(kChunk, content.size()));
  for (uint64_t done = 0; done < content.size(); done += chunk.size()) {
    chunk.resize(std::min(kChunk, content.size() - done));
    RETURN_IF_ERROR(content.ReadAt(done, absl::MakeSpan(chunk)));
    hasher.Add(chunk);
  }
  return hasher.Hex();
}

}  // namespace vmm
