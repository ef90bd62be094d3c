// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tracker.h"

#include <algorithm>

#include "psci-emul/psci_abi.h"
#include "vmm/devices/mark_abi.h"

namespace vmm {
namespace {

// Beyond this many records the per-CPU attribution of later boots is left out.
constexpr size_t kMaxPerCpuRecords = 1'000'000;

std::optional<int64_t> Difference(std::optional<int64_t> from,
                                  std::optional<int64_t> to) {
  if (!from || !to) return std::nullopt;
  return *to - *from;
}

void KeepEarliest(std::optional<int64_t>& when, int64_t ns) {
  if (!when) when = ns;
}

bool IsCpuOn(const Event& event) {
  return (event.function == PSCI_CPU_ON_32 ||
          event.function == PSCI_CPU_ON_64) &&
         event.result == PSCI_RET_SUCCESS;
}

bool IsAffinityOff(const Event& event) {
  return (event.function == PSCI_AFFINITY_INFO_32 ||
          event.function == PSCI_AFFINITY_INFO_64) &&
         event.result == PSCI_AFFINITY_OFF;
}

}  // namespace

KexecTracker::KexecTracker(absl::Span<const uint64_t> mpidrs)
    : seen_(mpidrs.size()) {
  for (uint32_t i = 0; i < mpidrs.size(); ++i) vcpu_of_[mpidrs[i]] = i;
  boots_.push_back({.cpus = static_cast<uint32_t>(mpidrs.size())});
}

KexecTracker::Seen* KexecTracker::FindTarget(uint64_t mpidr) {
  const auto found = vcpu_of_.find(mpidr);
  return found == vcpu_of_.end() ? nullptr : &seen_[found->second];
}

void KexecTracker::BeginKexec(std::optional<int64_t> mark, uint32_t cpus) {
  boots_.push_back(
      {.kexec = true, .announced = mark.has_value(), .cpus = cpus});
  at_ = {.kexec = mark};
  if (mark) {
    std::fill(seen_.begin(), seen_.end(), Seen());
    left_.clear();
  }
  started_.clear();
}

bool KexecTracker::Add(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kPsci:
      AddPsci(event);
      return false;
    case Event::Kind::kParkStore:
      AddLeave(event);
      return false;
    case Event::Kind::kReleaseStore:
      AddStartOf(event.args[0], event);
      return false;
    case Event::Kind::kOff:
      seen_[event.vcpu].off = event.ns;
      seen_[event.vcpu].firmware_off = event.firmware_ns;
      if (!at_.version) at_.last_off = event.ns;
      return false;
    case Event::Kind::kStart:
      // The boot CPU's start is nobody's CPU_ON; it begins the first boot.
      if (boots_.size() == 1) KeepEarliest(at_.kexec, event.ns);
      if (seen_[event.vcpu].on_called) {
        KeepEarliest(seen_[event.vcpu].started, event.ns);
        KeepEarliest(seen_[event.vcpu].firmware_on, event.firmware_ns);
        at_.last_start = event.ns;
      }
      if (!boots_.back().complete) Refresh();
      return false;
    case Event::Kind::kMark:
      return AddMark(event);
    default:
      return false;
  }
}

void KexecTracker::AddPsci(const Event& event) {
  saw_kernel_ = true;
  if (event.function == PSCI_VERSION) {
    // A kernel asks once. Asked again after CPUs left: a kexec without a mark.
    if (at_.version && !left_.empty() && boots_.size() < kMaxBoots) {
      BeginKexec(std::nullopt, static_cast<uint32_t>(left_.size()) + 1);
      at_.first_off = seen_[left_.front()].off_called;
      at_.last_off = seen_[left_.back()].off;
    }
    KeepEarliest(at_.version, event.ns);
  } else if (event.function == PSCI_CPU_OFF) {
    AddLeave(event);
  } else if (IsAffinityOff(event)) {
    if (Seen* const cpu = FindTarget(event.args[0])) {
      if (cpu->off) KeepEarliest(cpu->off_known, event.ns);
    }
  } else if (IsCpuOn(event)) {
    AddStartOf(event.args[0], event);
  }
}

// By whatever door.
void KexecTracker::AddLeave(const Event& event) {
  saw_kernel_ = true;
  seen_[event.vcpu] = {.off_called = event.ns,
                       .parked = event.kind == Event::Kind::kParkStore};
  // The next kernel may take CPUs down, too; that is no part of the kexec.
  if (!at_.version) KeepEarliest(at_.first_off, event.ns);
  std::erase(left_, event.vcpu);
  left_.push_back(event.vcpu);
}

void KexecTracker::AddStartOf(uint64_t mpidr, const Event& event) {
  const auto target = vcpu_of_.find(mpidr);
  if (target == vcpu_of_.end()) return;
  Seen& cpu = seen_[target->second];
  cpu.on_called = event.ns;
  cpu.released = event.kind == Event::Kind::kReleaseStore;
  cpu.started.reset();
  cpu.firmware_on.reset();
  KeepEarliest(at_.first_on, event.ns);
  std::erase(left_, target->second);
  std::erase(started_, target->second);
  started_.push_back(target->second);
}

bool KexecTracker::AddMark(const Event& event) {
  saw_kernel_ = true;
  const auto cpus = static_cast<uint32_t>(event.args[1]);
  if (event.args[0] == MARK_CODE_KEXEC) {
    // A second one without a boot in between: the first kexec failed.
    const bool retry = InKexec() && !at_.version;
    if (retry) boots_.pop_back();
    if (boots_.size() < kMaxBoots) BeginKexec(event.ns, cpus);
    return false;
  }
  Boot& boot = boots_.back();
  if (event.args[0] != MARK_CODE_UP || boot.complete) return false;
  at_.up = event.ns;
  Refresh();
  boot.cpus_back = cpus;
  boot.complete = true;
  return true;
}

void KexecTracker::Refresh() {
  Boot& boot = boots_.back();
  boot.cpus_back =
      1 + static_cast<uint32_t>(std::count_if(
              started_.begin(), started_.end(),
              [this](uint32_t i) { return seen_[i].started.has_value(); }));
  boot.doors = DoorsNow();
  if (!at_.up) return;
  boot.total = Difference(at_.kexec, at_.up);
  boot.phases = PhasesNow();
  if (boots_.size() * seen_.size() <= kMaxPerCpuRecords) {
    boot.per_cpu = PerCpuNow();
  }
}

Phases KexecTracker::PhasesNow() const {
  Boundaries at = at_;
  // Without secondary CPUs nobody leaves and nobody comes: those phases are
  // empty, and their neighbours meet.
  if (!at.first_off) at.first_off = at.last_off = at.version;
  if (!at.first_on && at.version) at.first_on = at.last_start = at.up;
  Phases phases = {
      .prepare = Difference(at.kexec, at.first_off),
      .down = Difference(at.first_off, at.last_off),
      .jump = Difference(at.last_off, at.version),
      .early = Difference(at.version, at.first_on),
      .up = Difference(at.first_on, at.last_start),
      .userspace = Difference(at.last_start, at.up),
  };
  if (boots_.size() == 1) {  // Nothing was there before the first boot.
    phases.prepare = phases.down = phases.jump = std::nullopt;
  }
  return phases;
}

Doors KexecTracker::DoorsNow() const {
  Doors doors;
  for (const Seen& cpu : seen_) {
    if (cpu.off_called) ++(cpu.parked ? doors.park : doors.cpu_off);
    if (cpu.started) ++(cpu.released ? doors.release : doors.cpu_on);
  }
  return doors;
}

std::vector<CpuTimes> KexecTracker::PerCpuNow() const {
  std::vector<int64_t> left;
  for (const Seen& cpu : seen_) {
    if (cpu.off_called) left.push_back(*cpu.off_called);
  }
  std::sort(left.begin(), left.end());
  std::vector<CpuTimes> result;
  for (size_t i = 0; i < started_.size(); ++i) {
    const uint32_t vcpu = started_[i];
    const Seen& cpu = seen_[vcpu];
    const auto next_on =
        i + 1 < started_.size() ? seen_[started_[i + 1]].on_called : at_.up;
    // Whoever left before it; found by time, as the order may differ.
    auto before = at_.kexec;
    if (cpu.off_called) {
      const auto next =
          std::lower_bound(left.begin(), left.end(), *cpu.off_called);
      if (next != left.begin() && (!before || next[-1] > *before)) {
        before = next[-1];
      }
    }
    result.push_back({
        .vcpu = vcpu,
        .kernel_before_off = Difference(before, cpu.off_called),
        .vmm_off =
            Difference(cpu.firmware_off, Difference(cpu.off_called, cpu.off)),
        .firmware_off = cpu.firmware_off,
        .guest_poll = Difference(cpu.off, cpu.off_known),
        .vmm_on =
            Difference(cpu.firmware_on, Difference(cpu.on_called, cpu.started)),
        .firmware_on = cpu.firmware_on,
        .kernel_after_on = Difference(cpu.started, next_on),
    });
  }
  return result;
}

}  // namespace vmm
