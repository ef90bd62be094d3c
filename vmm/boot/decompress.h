// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_DECOMPRESS_H_
#define PARKVMM_VMM_BOOT_DECOMPRESS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace vmm {

// What the first stream in `packed` unpacks to; what follows it (padding, a
// signature) is ignored. kDataLoss if the stream ends early or is damaged,
// kResourceExhausted if it unpacks to more than `limit` bytes (below 4 GiB).
// Any thread.
absl::StatusOr<std::vector<uint8_t>> Gunzip(absl::Span<const uint8_t> packed,
                                            uint64_t limit);
absl::StatusOr<std::vector<uint8_t>> Unzstd(absl::Span<const uint8_t> packed,
                                            uint64_t limit);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_DECOMPRESS_H_
