// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_DECOMPRESS_H_
#define PARKVMM_VMM_BOOT_DECOMPRESS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace vmm {

// What follows the last stream, beside the zeros that may fill up a gzip file.
enum class Tail { kRefused, kIgnored };

// Unpack all of `packed`, of one stream or several, as `gzip -dc` and
// `zstd -dc` do. kDataLoss if a stream ends early or is damaged, or if what
// follows is refused; kResourceExhausted if it unpacks to more than `limit`
// bytes (below 4 GiB). Any thread.
absl::StatusOr<std::vector<uint8_t>> Gunzip(absl::Span<const uint8_t> packed,
                                            uint64_t limit,
                                            Tail tail = Tail::kRefused);
absl::StatusOr<std::vector<uint8_t>> Unzstd(absl::Span<const uint8_t> packed,
                                            uint64_t limit,
                                            Tail tail = Tail::kRefused);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_DECOMPRESS_H_
