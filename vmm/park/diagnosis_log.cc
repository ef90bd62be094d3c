// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/diagnosis_log.h"

#include "absl/algorithm/container.h"
#include "absl/strings/str_format.h"
#include "vmm/base/log.h"

namespace vmm {

void Merge(const std::vector<Diagnosis>& more, std::vector<Diagnosis>& sums) {
  for (const Diagnosis& each : more) {
    const auto known = absl::c_find_if(sums, [&each](const Diagnosis& sum) {
      return sum.fault == each.fault;
    });
    if (known == sums.end()) {
      sums.push_back(each);
    } else {
      known->count += each.count;
    }
  }
}

void DiagnosisLog::Note(psci::ParkFault fault, uint32_t vcpu, uint64_t place,
                        uint64_t value) {
  {
    const MutexLock lock(mutex_);
    auto& seen = seen_[static_cast<size_t>(fault)];
    if (seen) {
      ++seen->count;
      return;
    }
    seen = Diagnosis{fault, 1, vcpu, place, value};
  }
  LogWarning(absl::StrFormat("%s (vCPU %d, page %#x, value %#x) [%s]",
                             psci::SentenceOf(fault), vcpu, place, value,
                             psci::IdOf(fault)));
}

std::vector<Diagnosis> DiagnosisLog::All() const {
  const MutexLock lock(mutex_);
  std::vector<Diagnosis> all;
  for (const auto& seen : seen_) {
    if (seen) all.push_back(*seen);
  }
  return all;
}

}  // namespace vmm
