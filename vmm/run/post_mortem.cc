// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/post_mortem.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "psci-emul/power_state.h"
#include "vmm/base/log.h"

namespace vmm {

void ReportPostMortem(const std::vector<std::string>& last_lines,
                      const std::vector<VcpuPostMortem>& vcpus,
                      const std::vector<uint64_t>& mpidrs) {
  LogPlain("last lines of the guest's console:");
  for (const std::string& line : last_lines) {
    LogPlain(absl::StrCat("  | ", line));
  }
  for (size_t i = 0; i < vcpus.size(); ++i) {
    const std::string pc =
        vcpus[i].pc ? absl::StrFormat(", PC %#x", *vcpus[i].pc) : "";
    const bool parked = vcpus[i].state == psci::PowerState::kOff &&
                        vcpus[i].door != psci::Door::kCpuOff;
    LogPlain(absl::StrFormat(
        "vCPU %d (MPIDR 0x%x): %s%s%s", i, mpidrs[i],
        psci::Name(vcpus[i].state), pc,
        parked ? absl::StrCat(", parked by the ", psci::Name(vcpus[i].door))
               : ""));
  }
}

}  // namespace vmm
