// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_STEP_TRACKER_H_
#define PARKVMM_VMM_MEASURE_STEP_TRACKER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/measure/boot.h"

namespace vmm {

// Turns the marks of a kernel that marks its steps of CPU hotplug into the time
// of each step. The steps of one CPU are nested, whichever CPU runs them. The
// guest makes the marks, so what is kept of them is bounded.
class StepTracker {
 public:
  static constexpr size_t kMaxOpen = 64;        // Steps within steps, of a CPU.
  static constexpr size_t kMaxSteps = 100'000;  // Of a boot.
  static constexpr size_t kMaxNames = 4096;
  static constexpr size_t kMaxNameChars = 64;

  // A kexec begins: forgets all steps, but not their names.
  void Begin();
  // `up`: the new kernel has called PSCI_VERSION.
  void Enter(int64_t ns, uint64_t value);
  void Exit(int64_t ns, uint64_t value, bool up);
  // The next characters of a name.
  void AddName(uint64_t value);

  // Returns the steps that have ended, or nullopt if there are none.
  std::optional<Steps> Ended() const;

 private:
  struct Open {
    uint16_t number;
    int64_t begin;
    int64_t within = 0;  // ns of steps inside of it.
  };
  using Key = std::pair<uint16_t, uint16_t>;  // The guest's CPU, the step.

  std::string NameOf(uint16_t number) const;
  StepTimes Named(const std::map<Key, int64_t>& own) const;

  std::map<uint16_t, std::vector<Open>> open_;  // By the guest's CPU.
  std::map<Key, int64_t> down_, up_;            // A step's own ns.
  std::map<uint16_t, std::string> names_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_STEP_TRACKER_H_
