// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_CLI_OUTPUT_H_
#define PARKVMM_VMM_CLI_OUTPUT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"
#include "vmm/run/exit_code.h"

namespace vmm {

// Returns the lines of a JSON text. Bytes of a string that are no UTF-8, which
// JSON cannot hold, become U+FFFD each: options and files may have any. What a
// terminal would obey is escaped.
std::string JsonText(const nlohmann::json& value);

// Prints an answer to stdout. Returns kOutputLost, and says why, if stdout took
// no more, else `code`.
ExitCode Print(absl::string_view text, ExitCode code = ExitCode::kOk);

}  // namespace vmm

#endif  // PARKVMM_VMM_CLI_OUTPUT_H_
