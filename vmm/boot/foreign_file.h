// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BOOT_FOREIGN_FILE_H_
#define PARKVMM_VMM_BOOT_FOREIGN_FILE_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace vmm {

// What somebody passed for a kernel, in words that follow "NAME is ...".
struct ForeignFile {
  std::string what;
  std::string remedy;
};

// Tells what `file`, which is no arm64 Image, is instead. Any thread.
ForeignFile Identify(absl::Span<const uint8_t> file);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_FOREIGN_FILE_H_
