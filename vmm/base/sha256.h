// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_SHA256_H_
#define PARKVMM_VMM_BASE_SHA256_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace vmm {

// 64 lower-case hexadecimal digits.
std::string Sha256(absl::Span<const uint8_t> bytes);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_SHA256_H_
