// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/post_mortem.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "psci-emul/power_state.h"

namespace vmm {
namespace {

std::string Place(const VcpuPostMortem& vcpu, const Symbols* symbols) {
  if (!vcpu.pc) return "";
  std::string place = absl::StrFormat(", PC %#x", *vcpu.pc);
  if (symbols == nullptr) return place;
  const std::string name = symbols->NameOf(*vcpu.pc, vcpu.vectors);
  if (!name.empty()) absl::StrAppend(&place, " (", name, ")");
  return place;
}

}  // namespace

std::vector<std::string> DescribePostMortem(
    const std::vector<std::string>& last_lines,
    const std::vector<VcpuPostMortem>& vcpus,
    const std::vector<uint64_t>& mpidrs, const Symbols* symbols) {
  std::vector<std::string> lines = {"last lines of the guest's console:"};
  for (const std::string& line : last_lines) {
    lines.push_back(absl::StrCat("  | ", line));
  }
  for (size_t i = 0; i < vcpus.size(); ++i) {
    const bool parked = vcpus[i].state == psci::PowerState::kOff &&
                        vcpus[i].door != psci::Door::kCpuOff;
    lines.push_back(absl::StrFormat(
        "vCPU %d (MPIDR 0x%x): %s%s%s", i, mpidrs[i],
        psci::Name(vcpus[i].state), Place(vcpus[i], symbols),
        parked ? absl::StrCat(", parked by the ", psci::Name(vcpus[i].door))
               : ""));
  }
  return lines;
}

}  // namespace vmm
