// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_
#define PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/types/span.h"
#include "vmm/measure/attribution.h"
#include "vmm/measure/boot.h"
#include "vmm/measure/cpu_record.h"
#include "vmm/measure/event.h"
#include "vmm/measure/step_tracker.h"

namespace vmm {

// Turns the events of a run, in the order of their stamps, into boots. It is
// the one owner of phases, moments and counts. It works for any kernel: beyond
// PSCI calls it needs the two marks, and says less where they are missing.
//
// A CPU leaves once in a boot and comes once: a CPU that the old kernel turns
// on again has not left, and what the new kernel turns off is no part of the
// kexec that brought it.
class KexecTracker {
 public:
  // Boots past this many are not recorded: the guest makes the marks.
  static constexpr size_t kMaxBoots = 10'000;

  // `mpidrs[i]`: the affinity of vCPU i.
  explicit KexecTracker(absl::Span<const uint64_t> mpidrs);

  // In order. Returns true if this event completed a boot.
  bool Add(const Event& event);

  // Boot 0 is the first one; each one after it a kexec. The last may be
  // incomplete.
  const std::vector<Boot>& boots() const { return boots_; }
  // Whether the guest has announced a kexec and not come up since: what a
  // timeout waited for. One without a mark is a guess, and accuses nobody.
  bool InKexec() const {
    return boots_.back().announced && !boots_.back().complete;
  }
  // Whether any kernel has shown a sign of life.
  bool SawKernel() const { return saw_kernel_; }

 private:
  void BeginKexec(std::optional<int64_t> mark, uint32_t cpus);
  void AddPsci(const Event& event);
  void AddVersion(int64_t ns);
  void AddLeave(const Event& event);
  void AddOff(const Event& event);
  void AddKnownOff(uint64_t mpidr, int64_t ns);
  void AddCall(uint64_t mpidr, const Event& event);
  void AddStart(const Event& event);
  bool AddMark(const Event& event);
  CpuRecord* FindTarget(uint64_t mpidr);
  void Count();
  void Complete();

  std::unordered_map<uint64_t, uint32_t> vcpu_of_;
  std::vector<Boot> boots_;
  bool saw_kernel_ = false;

  // The boot in progress.
  std::vector<CpuRecord> cpus_;  // By vCPU.
  std::optional<int64_t> kexec_, version_, up_;
  StepTracker steps_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_
