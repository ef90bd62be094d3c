// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/output.h"

#include <unistd.h>

#include "nlohmann/json.hpp"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace vmm {

std::string JsonText(const nlohmann::json& value) {
  return value.dump(2, ' ', /*ensure_ascii=*/false,
                    nlohmann::json::error_handler_t::replace) +
         "\n";
}

ExitCode Print(absl::string_view text, ExitCode code) {
  const absl::Status written = WriteTo(STDOUT_FILENO, "stdout", text);
  if (written.ok()) return code;
  LogError(written.message());
  return ExitCode::kOutputLost;
}

}  // namespace vmm
