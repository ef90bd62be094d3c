// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/doctor_command.h"

#include <iostream>

#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace vmm {
namespace {

void PrintLines(const HostReport& report) {
  for (const HostCheck& check : report.checks) {
    std::cout << absl::StrFormat("%-8s %-16s %s\n",
                                 check.remedy.empty() ? "ok" : "MISSING",
                                 check.title, check.value);
    if (!check.remedy.empty()) {
      std::cout << absl::StrFormat("%25s -> %s\n", "", check.remedy);
    }
  }
}

void PrintJson(const HostReport& report) {
  nlohmann::json checks = nlohmann::json::array();
  for (const HostCheck& check : report.checks) {
    checks.push_back({{"id", check.id},
                      {"title", check.title},
                      {"value", check.value},
                      {"ok", check.remedy.empty()},
                      {"remedy", check.remedy}});
  }
  std::cout << nlohmann::json{{"schema_version", 1},
                              {"usable", report.usable()},
                              {"checks", checks}}
                   .dump(2)
            << "\n";
}

}  // namespace

ExitCode DoctorCommand(const HostReport& report, bool as_json) {
  as_json ? PrintJson(report) : PrintLines(report);
  return report.usable() ? ExitCode::kOk : ExitCode::kHostCannot;
}

}  // namespace vmm
