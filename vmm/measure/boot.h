// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_BOOT_H_
#define PARKVMM_VMM_MEASURE_BOOT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmm {

// The phases of one boot in ns, one after the other without a gap. A phase is
// absent where the VMM could not see its boundary: the guest made no mark, no
// other CPU left or came, or KVM answered PSCI.
struct Phases {
  std::optional<int64_t> prepare;  // kexec mark -> first CPU leaves
  std::optional<int64_t> down;     // -> last CPU is off. Where one CPU leaves:
                                   // kexec mark -> it is off
  std::optional<int64_t> jump;     // -> the new kernel's PSCI_VERSION
  std::optional<int64_t> early;    // -> first CPU_ON or release
  std::optional<int64_t> up;       // -> last CPU's first instruction
  std::optional<int64_t> userspace;  // -> up mark
  friend bool operator==(const Phases&, const Phases&) = default;
};

// Who had the moments of a phase, in ns. The parts add up to the phase.
struct Shares {
  int64_t firmware = 0;  // Spent by the firmware model.
  int64_t vmm = 0;       // A CPU is on its way through the VMM.
  int64_t polling = 0;   // A CPU is off, and the guest has not been told yet.
  int64_t kernel = 0;    // All else: the guest's kernel, and its user space.
  friend bool operator==(const Shares&, const Shares&) = default;
};

// The same for each phase; absent where the phase is.
struct PhaseShares {
  std::optional<Shares> prepare, down, jump, early, up, userspace;
};

// One CPU's way through a boot. Moments are in ns since the boot began, and
// absent if they were not seen.
struct CpuMoments {
  std::optional<int64_t> left;     // It called CPU_OFF, or stored the magic.
  std::optional<int64_t> off;      // Its OFF state is visible.
  std::optional<int64_t> known;    // AFFINITY_INFO has answered OFF.
  std::optional<int64_t> called;   // CPU_ON succeeded, or exit was stored.
  std::optional<int64_t> started;  // It is about to execute its first
                                   // instruction.
  friend bool operator==(const CpuMoments&, const CpuMoments&) = default;
};

// The same CPU's intervals in ns: who had the time between its moments.
// `kernel_before_off` is the gap between two leaves: if the kernel waits for
// each CPU, the previous CPU's way off and the polling for it are part of it.
struct CpuTimes {
  uint32_t vcpu = 0;
  CpuMoments at;
  std::optional<int64_t> kernel_before_off;  // Previous CPU's `left`, or the
                                             // kexec mark -> `left`
  std::optional<int64_t> vmm_off;            // -> `off`, except for what
  std::optional<int64_t> firmware_off;       // modelled firmware spent.
  std::optional<int64_t> guest_poll;         // -> `known`
  std::optional<int64_t> vmm_on;             // `called` -> `started`, except
  std::optional<int64_t> firmware_on;        // for modelled firmware.
  std::optional<int64_t> kernel_after_on;    // -> next CPU's `called`. Zero if
                                             // that one was called first.
};

// How many CPUs left the old kernel and entered the new one by which door.
struct Doors {
  uint32_t cpu_off = 0;  // PSCI,
  uint32_t park = 0;     // or the page's or slot's magic.
  uint32_t cpu_on = 0;   // PSCI,
  uint32_t release = 0;  // or the page's or slot's exit.
  friend bool operator==(const Doors&, const Doors&) = default;
};

// Time of the steps of CPU hotplug in ns, by the guest's number of the CPU and
// by the step's name. Steps within a step are not part of its time.
using StepTimes = std::map<uint32_t, std::map<std::string, int64_t>>;
struct Steps {
  StepTimes down;  // Ended before the new kernel's PSCI_VERSION.
  StepTimes up;
};

// By what the VMM knows that a boot has come up.
enum class CameUpBy : uint8_t {
  kMark,       // The guest said so.
  kNextKexec,  // The next kernel began.
  kEnd,        // The guest ended by itself.
  kSettled,    // Its CPUs have started, and none has called PSCI for a while.
  kStopped,    // They had when the run was stopped.
};

// A CPU that did not come up, and what is known of it.
struct LostCpu {
  uint32_t vcpu = 0;
  enum class Fate : uint8_t {
    kNotCalled,     // Nobody called CPU_ON for it, or stored its exit.
    kRefused,       // CPU_ON was answered `answer`.
    kNeverStarted,  // It was called, and did not start.
  } fate = Fate::kNotCalled;
  int64_t answer = 0;
  friend bool operator==(const LostCpu&, const LostCpu&) = default;
};

// One boot of a kernel: the first, or one that a kexec brought.
struct Boot {
  uint32_t number = 0;     // 0 is the machine's first, each other one a kexec.
  bool kexec = false;      // Or the machine's first.
  bool announced = false;  // By the guest's kexec mark.
  bool crash = false;      // A panic led to it: a crash kernel.
  uint32_t cpus = 0;       // Online before; for the first boot, all there are.
  uint32_t cpus_back = 0;  // Online after, as the new kernel's user space read
                           // it; without a mark, as the VMM saw CPUs start.
  std::optional<CameUpBy> came_up;  // All below needs it.
  // CPUs that were there before, or were called, and did not start.
  std::vector<LostCpu> lost;
  // ns since the machine started: the kexec mark, or the start of the boot CPU.
  // Without either: the first CPU leaves, or PSCI_VERSION.
  std::optional<int64_t> begin;
  std::optional<int64_t> total;  // kexec mark (first boot: start) -> up mark.
  std::optional<int64_t> teardown;  // kexec mark -> last CPU is off.
  Phases phases;
  PhaseShares shares;
  Doors doors;
  // CPUs in the order in which they were called, then those that only left.
  std::vector<CpuTimes> per_cpu;
  std::optional<Steps> steps;  // If the kernel marks them.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_BOOT_H_
