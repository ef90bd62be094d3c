// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_FILE_H_
#define PARKVMM_VMM_BASE_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace vmm {

// All bytes of a file or pipe. The error names `path`: kInvalidArgument if it
// is a directory or holds more than `max_size` bytes, else what open() or
// read() said, such as kNotFound. Any thread; a pipe blocks.
absl::StatusOr<std::vector<uint8_t>> ReadFile(const std::string& path,
                                              uint64_t max_size);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_FILE_H_
