// SPDX-License-Identifier: Apache-2.0
// Any bytes as gzip and zstd: no more comes out than is allowed, and what comes
// out does not depend on how much that is.
#include "tests/fuzz/fuzzer.h"
#include "vmm/boot/decompress.h"

namespace {

constexpr uint64_t kLimits[] = {0, 1, 1000, 65535, 65536, 65537, 1 << 20};

}  // namespace

FUZZ_TARGET(unpack) {
  const auto how = input.Take<uint8_t>();
  const auto unpack = (how & 1) != 0 ? vmm::Gunzip : vmm::Unzstd;
  const vmm::Tail tail =
      (how & 2) != 0 ? vmm::Tail::kIgnored : vmm::Tail::kRefused;
  const uint64_t limit = kLimits[(how >> 2) % std::size(kLimits)];
  const auto packed = input.TakeRest();
  const auto bytes = unpack(packed, limit, tail);
  if (!bytes.ok()) {
    const auto code = bytes.status().code();
    FUZZ_CHECK(code == absl::StatusCode::kDataLoss ||
               code == absl::StatusCode::kResourceExhausted);
    FUZZ_CHECK(fuzz::IsPrintable(bytes.status().message(), false));
    return;
  }
  FUZZ_CHECK(bytes->size() <= limit);
  const auto exactly = unpack(packed, bytes->size(), tail);
  FUZZ_CHECK(exactly.ok() && *exactly == *bytes);
  if (bytes->empty()) return;
  const auto less = unpack(packed, bytes->size() - 1, tail);
  FUZZ_CHECK(less.status().code() == absl::StatusCode::kResourceExhausted);
}
