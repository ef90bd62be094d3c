// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_
#define PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/types/span.h"
#include "vmm/measure/event.h"

namespace vmm {

// The phases of one kexec in ns, one after the other without a gap. Absent
// where the VMM could not see the boundary: no mark from the guest, or PSCI
// answered by KVM.
struct Phases {
  std::optional<int64_t> prepare;    // kexec mark -> first CPU_OFF
  std::optional<int64_t> down;       // -> last CPU is off
  std::optional<int64_t> jump;       // -> the new kernel's PSCI_VERSION
  std::optional<int64_t> early;      // -> first CPU_ON
  std::optional<int64_t> up;         // -> last CPU's first instruction
  std::optional<int64_t> userspace;  // -> up mark
};

// One secondary CPU's way through a kexec, in ns: who had the time.
struct CpuTimes {
  uint32_t vcpu = 0;
  std::optional<int64_t> kernel_before_off;  // previous CPU_OFF, or the kexec
                                             // mark -> this CPU_OFF
  std::optional<int64_t> vmm_off;            // -> off for all to see, but for
  std::optional<int64_t> firmware_off;       // what modelled firmware took
  std::optional<int64_t> guest_poll;         // -> AFFINITY_INFO answers OFF
  std::optional<int64_t> vmm_on;             // CPU_ON -> first instruction,
  std::optional<int64_t> firmware_on;        // likewise
  std::optional<int64_t> kernel_after_on;    // -> next CPU_ON, or the up mark
};

// Which way the other CPUs went: out of the old kernel, into the new one.
struct Doors {
  uint32_t cpu_off = 0;  // PSCI,
  uint32_t park = 0;     // or the page's or slot's magic.
  uint32_t cpu_on = 0;   // PSCI,
  uint32_t release = 0;  // or the page's or slot's exit.
  friend bool operator==(const Doors&, const Doors&) = default;
};

// One boot of a kernel: the first, or one that a kexec brought.
struct Boot {
  bool kexec = false;      // Or the machine's first.
  bool announced = false;  // By the guest's kexec mark.
  uint32_t cpus = 0;       // Online before; for the first boot, all there are.
  uint32_t cpus_back = 0;  // Online after, as the new kernel's user space read
                           // it; without a mark, as the VMM saw CPUs start.
  bool complete = false;   // The up mark came.
  std::optional<int64_t> total;  // kexec mark (first boot: start) -> up mark.
  Phases phases;
  Doors doors;
  std::vector<CpuTimes> per_cpu;  // In the order the CPUs came back.
};

// Turns the events of a run, in the order of their stamps, into boots. Knows
// any kernel: what it needs beyond PSCI calls are the two marks, and it says
// less where they are missing.
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
  // When each step of one CPU happened in the boot in progress.
  struct Seen {
    std::optional<int64_t> off_called, off, off_known, on_called, started;
    bool parked = false;    // off_called was a store of the magic,
    bool released = false;  // on_called one of exit.
    std::optional<int64_t> firmware_off, firmware_on;  // How long of it.
  };
  // Where one phase ends and the next begins; phases are their differences.
  struct Boundaries {
    std::optional<int64_t> kexec, first_off, last_off, version, first_on,
        last_start, up;
  };

  void BeginKexec(std::optional<int64_t> mark, uint32_t cpus);
  void AddPsci(const Event& event);
  void AddLeave(const Event& event);
  void AddStartOf(uint64_t mpidr, const Event& event);
  bool AddMark(const Event& event);
  Seen* FindTarget(uint64_t mpidr);
  void Refresh();
  Phases PhasesNow() const;
  Doors DoorsNow() const;
  std::vector<CpuTimes> PerCpuNow() const;

  std::unordered_map<uint64_t, uint32_t> vcpu_of_;
  std::vector<Boot> boots_;
  bool saw_kernel_ = false;

  // The boot in progress.
  std::vector<Seen> seen_;         // By vCPU.
  std::vector<uint32_t> left_;     // vCPUs in the order of their CPU_OFF.
  std::vector<uint32_t> started_;  // vCPUs in the order of their CPU_ON.
  Boundaries at_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_KEXEC_TRACKER_H_
