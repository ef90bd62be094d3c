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
// the one owner of phases, moments and counts. It works for any kernel that
// kexecs: marks refine what PSCI calls and parked CPUs tell.
//
// Without the kexec mark a new kernel is known by what Linux does once in a
// boot, and no program by chance: it asks for PSCI_VERSION, and next for
// MIGRATE_INFO_TYPE (psci_probe(), since 3.17).
//
// A CPU leaves once in a boot and comes once: a CPU that the old kernel turns
// on again has not left, and what the new kernel turns off is no part of the
// kexec that brought it.
class KexecTracker {
 public:
  // Boots past this many are not recorded: the guest makes the marks.
  static constexpr size_t kMaxBoots = 10'000;

  // What boots() holds: every boot, or the first, the last two, and those that
  // lost CPUs, so that memory does not grow with the number of kexecs.
  enum class Keep { kAll, kWhatIsJudged };

  // `mpidrs[i]`: the affinity of vCPU i.
  explicit KexecTracker(absl::Span<const uint64_t> mpidrs,
                        Keep keep = Keep::kAll);

  // CPUs that left so long before the next one left on their own.
  static constexpr int64_t kApartNs = 10'000'000'000;
  // A boot without marks has come up once all its CPUs have, and nobody has
  // called PSCI for so long; or for kApartNs, if CPUs are missing: Linux waits
  // five seconds for each.
  static constexpr int64_t kSettleNs = 1'000'000'000;

  // In order. Returns the place in boots() of the boot that this event tells
  // has come up, if there is one.
  std::optional<size_t> Add(const Event& event);
  // The same for the time that went by, in the events' ns, if it is past
  // SettlesAt(). No event older than that is added later.
  std::optional<size_t> Settle(int64_t now_ns);
  std::optional<int64_t> SettlesAt() const;
  // The same for the end of the run, by the guest itself or by others.
  std::optional<size_t> End(bool by_guest);

  // Whether the guest has panicked. A kernel that begins then is a crash
  // kernel; so is one that a guest which marks did not announce.
  void SetPanicked(bool panicked) { panicked_ = panicked; }

  // Boot 0 is the first one; each one after it a kexec. The last may be
  // incomplete.
  const std::vector<Boot>& boots() const { return boots_; }
  // Kexecs that came up with all their CPUs and are not in boots().
  uint32_t forgotten() const { return forgotten_; }
  // Whether a kexec has begun that has not come up: what a timeout waited for.
  // A guest that marks and did not announce it is in a crash kernel, which may
  // never mark.
  bool InKexec() const {
    const Boot& boot = boots_.back();
    return boot.kexec && !boot.came_up && (boot.announced || !marks_up_);
  }
  // Whether any kernel has shown a sign of life.
  bool SawKernel() const { return saw_kernel_; }

 private:
  // A kernel's question for PSCI's version.
  struct Question {
    int64_t ns;
    uint32_t vcpu;
  };

  void BeginKexec(std::optional<int64_t> mark, uint32_t cpus);
  void Forget();
  bool IsFull() const { return boots_.back().number + 1 >= kMaxBoots; }
  void AddPsci(const Event& event);
  void AddVersion(const Event& event);
  void AddMigrateInfo(const Event& event);
  void BeginUnannounced(int64_t version_ns);
  void AddLeave(const Event& event);
  void AddOff(const Event& event);
  void AddKnownOff(uint64_t mpidr, int64_t ns);
  void AddCall(uint64_t mpidr, const Event& event);
  void AddStart(const Event& event);
  void AddMark(const Event& event);
  CpuRecord* FindTarget(uint64_t mpidr);
  bool AllAreBack() const;
  void Count();
  void Complete(CameUpBy by);

  std::unordered_map<uint64_t, uint32_t> vcpu_of_;
  const Keep keep_;
  std::vector<Boot> boots_;
  uint32_t forgotten_ = 0;
  bool saw_kernel_ = false;
  bool marks_up_ = false;  // The guest says when it has come up.
  bool panicked_ = false;
  std::optional<size_t> came_up_;  // By what is being added.

  // The boot in progress.
  std::vector<CpuRecord> cpus_;  // By vCPU.
  std::optional<int64_t> kexec_, version_, up_;
  bool probed_ = false;  // MIGRATE_INFO_TYPE followed PSCI_VERSION.
  std::optional<Question> asked_again_;  // PSCI_VERSION, just now.
  int64_t active_ns_ = 0;  // When a CPU last called PSCI, or came, or left.
  StepTracker steps_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_
