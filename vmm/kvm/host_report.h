// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_HOST_REPORT_H_
#define PARKVMM_VMM_KVM_HOST_REPORT_H_

#include <string>
#include <vector>

namespace vmm {

// One line of `vmm doctor`.
struct HostCheck {
  std::string id;     // Stable, for scripts: "smccc_filter".
  std::string title;  // For people: "SMCCC filter".
  std::string value;  // What was found: "yes", "512", "neoverse-n1".
  // Empty if the host has what is needed; else one sentence.
  std::string remedy;
};

struct HostReport {
  std::vector<HostCheck> checks;
  // Whether `vmm run` can work here: no check has a remedy.
  bool usable() const;
};

// Looks, changes nothing. Runs on any machine, with KVM or without.
HostReport ExamineHost();

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_HOST_REPORT_H_
