// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_PARK_DIAGNOSIS_LOG_H_
#define PARKVMM_VMM_PARK_DIAGNOSIS_LOG_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "psci-emul/park_fault.h"
#include "vmm/base/mutex.h"

namespace vmm {

// One kind of parking gone wrong: how often, and the first time in detail.
struct Diagnosis {
  psci::ParkFault fault;
  uint64_t count = 0;
  uint32_t vcpu = 0;   // Who did it, or to whom it happened.
  uint64_t place = 0;  // The page's or slot's address.
  uint64_t value = 0;  // What was stored.
};

// Adds `more` to `sums`: counts of one kind are summed, its first time stands.
void Merge(const std::vector<Diagnosis>& more, std::vector<Diagnosis>& sums);

// What a run's guest did wrong with its parked CPUs. Any thread. The first of
// each kind is a warning on stderr, all are counted; bounded, whatever the
// guest does.
class DiagnosisLog {
 public:
  void Note(psci::ParkFault fault, uint32_t vcpu, uint64_t place,
            uint64_t value);
  // In the order of the enumeration; those that happened.
  std::vector<Diagnosis> All() const;

 private:
  mutable Mutex mutex_;
  std::array<std::optional<Diagnosis>, psci::kParkFaults> seen_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace vmm

#endif  // PARKVMM_VMM_PARK_DIAGNOSIS_LOG_H_
