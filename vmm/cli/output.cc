// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/output.h"

#include <unistd.h>

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace vmm {
namespace {

// Escapes DEL and C1's control characters, which JSON may have as they are and
// terminals obey. `json` is UTF-8, and has them in its strings only.
std::string WithoutControls(std::string json) {
  if (!absl::StrContains(json, '\x7f') && !absl::StrContains(json, '\xc2')) {
    return json;  // As almost always, found out at once.
  }
  std::string result;
  for (size_t i = 0; i < json.size(); ++i) {
    const auto byte = static_cast<uint8_t>(json[i]);
    const auto next =
        static_cast<uint8_t>(i + 1 < json.size() ? json[i + 1] : 0);
    if (byte == 0x7f) {
      result += "\\u007f";
    } else if (byte == 0xc2 && next < 0xa0) {  // U+0080 to U+009F
      absl::StrAppendFormat(&result, "\\u00%02x", next);
      ++i;
    } else {
      result += json[i];
    }
  }
  return result;
}

}  // namespace

std::string JsonText(const nlohmann::json& value) {
  return WithoutControls(value.dump(2, ' ', /*ensure_ascii=*/false,
                                    nlohmann::json::error_handler_t::replace)) +
         "\n";
}

ExitCode Print(absl::string_view text, ExitCode code) {
  const absl::Status written = WriteTo(STDOUT_FILENO, "stdout", text);
  if (written.ok()) return code;
  LogError(written.message());
  return ExitCode::kOutputLost;
}

}  // namespace vmm
