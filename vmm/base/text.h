// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_TEXT_H_
#define PARKVMM_VMM_BASE_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace vmm {

// Returns `text` as a terminal may show it, and XML and YAML may hold it:
// control characters, C1's among them, U+FFFE, U+FFFF and bytes that are no
// UTF-8 become \xNN, each byte of them. Text that is printable stays as it is,
// backslashes too.
std::string Printable(absl::string_view text);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_TEXT_H_
