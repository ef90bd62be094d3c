// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_SHA256_H_
#define PARKVMM_VMM_BASE_SHA256_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vmm/base/content.h"

namespace vmm {

// Returns 64 lower-case hexadecimal digits. Uses the CPU's instructions for it,
// where it has any. Any thread.
std::string Sha256(absl::Span<const uint8_t> bytes);
// The same of what is too large to be held. Errors as Content::ReadAt()'s.
absl::StatusOr<std::string> Sha256(const Content& content);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_SHA256_H_
