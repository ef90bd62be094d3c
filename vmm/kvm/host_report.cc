// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/host_report.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace vmm {

bool HostReport::usable() const {
  return std::all_of(checks.begin(), checks.end(), [](const HostCheck& check) {
    return check.remedy.empty();
  });
}

std::string HostLabel() {
  std::ifstream file("/proc/cmdline");
  std::stringstream command_line;
  command_line << file.rdbuf();
  for (absl::string_view word :
       absl::StrSplit(command_line.str(), absl::ByAnyChar(" \n"))) {
    if (absl::ConsumePrefix(&word, "parkvmm.label=")) return std::string(word);
  }
  return "kvm";
}

}  // namespace vmm
