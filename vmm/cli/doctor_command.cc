// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/doctor_command.h"

#include <string>

#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "vmm/cli/output.h"

namespace vmm {
namespace {

std::string Lines(const HostReport& report) {
  std::string lines;
  for (const HostCheck& check : report.checks) {
    absl::StrAppendFormat(&lines, "%-8s %-16s %s\n",
                          check.remedy.empty() ? "ok" : "MISSING", check.title,
                          check.value);
    if (!check.remedy.empty()) {
      absl::StrAppendFormat(&lines, "%25s -> %s\n", "", check.remedy);
    }
  }
  return lines;
}

std::string Json(const HostReport& report) {
  nlohmann::json checks = nlohmann::json::array();
  for (const HostCheck& check : report.checks) {
    checks.push_back({{"id", check.id},
                      {"title", check.title},
                      {"value", check.value},
                      {"ok", check.remedy.empty()},
                      {"remedy", check.remedy}});
  }
  return JsonText(
      {{"schema_version", 1}, {"usable", report.usable()}, {"checks", checks}});
}

}  // namespace

ExitCode DoctorCommand(const HostReport& report, bool as_json) {
  return Print(as_json ? Json(report) : Lines(report),
               report.usable() ? ExitCode::kOk : ExitCode::kHostCannot);
}

}  // namespace vmm
