// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_PACKING_H_
#define PARKVMM_TESTS_SUPPORT_PACKING_H_

#include <cstdint>
#include <vector>

// `bytes` as gzip(1) and zstd(1) would pack them. Checks itself.
std::vector<uint8_t> Gzipped(const std::vector<uint8_t>& bytes);
std::vector<uint8_t> Zstandard(const std::vector<uint8_t>& bytes);

#endif  // PARKVMM_TESTS_SUPPORT_PACKING_H_
