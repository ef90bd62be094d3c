// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_KEXEC_TALLY_H_
#define PARKVMM_VMM_MEASURE_KEXEC_TALLY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "vmm/measure/boot.h"
#include "vmm/measure/report.h"

namespace vmm {

// Sums up the kexecs of a run, however many there are. Used by one thread.
class KexecTally {
 public:
  // Counts a boot that has come up. A machine's first boot is no kexec.
  void Add(const Boot& boot);

  // Returns one line about all kexecs that can stand alone, in a mail for
  // example; empty if none began and none was expected. `begun` is how many
  // began, whether they came up or not. `label` says where times come from.
  std::string Summary(uint32_t begun, std::optional<uint32_t> expected,
                      Times times, absl::string_view label) const;

  uint32_t came_up() const { return came_up_; }

 private:
  std::string CpusBack() const;
  std::string Down() const;

  uint32_t came_up_ = 0;
  // Crash kernels are not asked for their CPUs: they take what they want.
  uint32_t asked_ = 0;
  std::string first_back_;  // Of those asked, as CpusBack() says it.
  bool all_alike_ = true;
  struct {
    uint32_t number = 0;
    int64_t lost = 0;
    std::string back;
  } worst_;
  std::vector<int64_t> down_ns_;  // Of those where it was seen.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_KEXEC_TALLY_H_
