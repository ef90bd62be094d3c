// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tracker.h"

#include <algorithm>
#include <utility>

#include "psci-emul/psci_abi.h"
#include "vmm/devices/mark_abi.h"

namespace vmm {
namespace {

// Beyond this many records the per-CPU attribution of later boots is left out.
constexpr size_t kMaxPerCpuRecords = 1'000'000;

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

// The way out that the CPU is on, or was on last.
Leave* LastLeave(CpuRecord& cpu) {
  if (cpu.next) return &*cpu.next;
  return cpu.leave ? &*cpu.leave : nullptr;
}

bool IsAway(const CpuRecord& cpu) {
  return cpu.next || (cpu.leave && !cpu.arrival);
}

}  // namespace

KexecTracker::KexecTracker(absl::Span<const uint64_t> mpidrs)
    : cpus_(mpidrs.size()) {
  for (uint32_t i = 0; i < mpidrs.size(); ++i) vcpu_of_[mpidrs[i]] = i;
  boots_.push_back({.cpus = static_cast<uint32_t>(mpidrs.size())});
}

CpuRecord* KexecTracker::FindTarget(uint64_t mpidr) {
  const auto found = vcpu_of_.find(mpidr);
  return found == vcpu_of_.end() ? nullptr : &cpus_[found->second];
}

void KexecTracker::BeginKexec(std::optional<int64_t> mark, uint32_t cpus) {
  boots_.push_back(
      {.kexec = true, .announced = mark.has_value(), .cpus = cpus});
  kexec_ = mark;
  version_.reset();
  up_.reset();
  steps_.Begin();
  for (CpuRecord& cpu : cpus_) {
    // With a mark, only what leaves from here on leaves for this kexec.
    cpu = {.leave = mark ? std::nullopt : std::exchange(cpu.next, {})};
  }
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
      AddCall(event.args[0], event);
      return false;
    case Event::Kind::kOff:
      AddOff(event);
      return false;
    case Event::Kind::kStart:
      AddStart(event);
      return false;
    case Event::Kind::kMark:
      return AddMark(event);
    case Event::Kind::kVerdict:
    case Event::Kind::kReset:
    case Event::Kind::kPowerOff:
      return false;
  }
  return false;
}

void KexecTracker::AddPsci(const Event& event) {
  saw_kernel_ = true;
  if (event.function == PSCI_VERSION) {
    AddVersion(event.ns);
  } else if (event.function == PSCI_CPU_OFF) {
    AddLeave(event);
  } else if (IsAffinityOff(event)) {
    AddKnownOff(event.args[0], event.ns);
  } else if (IsCpuOn(event)) {
    AddCall(event.args[0], event);
  }
}

void KexecTracker::AddVersion(int64_t ns) {
  // A kernel asks once. Asked again after CPUs left: a kexec without a mark.
  if (version_) {
    if (std::none_of(cpus_.begin(), cpus_.end(), IsAway) ||
        boots_.size() >= kMaxBoots) {
      return;
    }
    const auto left = std::count_if(
        cpus_.begin(), cpus_.end(),
        [](const CpuRecord& cpu) { return cpu.next.has_value(); });
    BeginKexec(std::nullopt, static_cast<uint32_t>(left) + 1);
  }
  version_ = ns;
  // Until now the old kernel ran: whom it turned on has not left.
  if (boots_.size() > 1) {
    for (CpuRecord& cpu : cpus_) {
      if (cpu.arrival) cpu = {};
    }
  }
}

void KexecTracker::AddLeave(const Event& event) {
  saw_kernel_ = true;
  CpuRecord& cpu = cpus_[event.vcpu];
  Leave leave = {.left = event.ns,
                 .parked = event.kind == Event::Kind::kParkStore};
  if (version_) {
    cpu.next = leave;
  } else {
    cpu = {.leave = leave};
  }
}

void KexecTracker::AddOff(const Event& event) {
  Leave* const leave = LastLeave(cpus_[event.vcpu]);
  if (leave == nullptr || leave->off) return;
  leave->off = event.ns;
  leave->firmware = event.firmware_ns;
  // The call that was answered so was under way while the CPU went off.
  if (leave->known) leave->known = std::max(*leave->known, event.ns);
}

void KexecTracker::AddKnownOff(uint64_t mpidr, int64_t ns) {
  CpuRecord* const cpu = FindTarget(mpidr);
  Leave* const leave = cpu == nullptr ? nullptr : LastLeave(*cpu);
  if (leave != nullptr && !leave->known) leave->known = ns;
}

void KexecTracker::AddCall(uint64_t mpidr, const Event& event) {
  CpuRecord* const cpu = FindTarget(mpidr);
  if (cpu == nullptr) return;
  cpu->next.reset();
  if (cpu->arrival) return;
  cpu->arrival = {.called = event.ns,
                  .released = event.kind == Event::Kind::kReleaseStore};
}

void KexecTracker::AddStart(const Event& event) {
  // The boot CPU's start is nobody's CPU_ON; it begins the first boot.
  if (boots_.size() == 1 && !kexec_) kexec_ = event.ns;
  std::optional<Arrival>& arrival = cpus_[event.vcpu].arrival;
  if (arrival && !arrival->started) {
    arrival->started = event.ns;
    arrival->firmware = event.firmware_ns;
  }
  if (!boots_.back().complete) Count();
}

bool KexecTracker::AddMark(const Event& event) {
  saw_kernel_ = true;
  const uint64_t value = event.args[1];
  switch (event.args[0]) {
    case MARK_CODE_KEXEC: {
      // A second one without a boot in between: the first kexec failed.
      const bool retry = InKexec() && !version_;
      if (retry) boots_.pop_back();
      if (boots_.size() < kMaxBoots) {
        BeginKexec(event.ns, static_cast<uint32_t>(value));
      }
      return false;
    }
    case MARK_CODE_UP:
      if (boots_.back().complete) return false;
      up_ = event.ns;
      Complete();
      boots_.back().cpus_back = static_cast<uint32_t>(value);
      return true;
    case MARK_CODE_STEP_ENTER:
      if (!up_) steps_.Enter(event.ns, value);
      return false;
    case MARK_CODE_STEP_EXIT:
      if (!up_) steps_.Exit(event.ns, value, version_.has_value());
      return false;
    case MARK_CODE_STEP_NAME:
      steps_.AddName(value);
      return false;
    default:
      return false;
  }
}

void KexecTracker::Count() {
  Boot& boot = boots_.back();
  boot.doors = DoorsOf(cpus_);
  boot.cpus_back = 1 + boot.doors.cpu_on + boot.doors.release;
}

void KexecTracker::Complete() {
  Count();
  Boot& boot = boots_.back();
  Boundaries at = {.kexec = kexec_, .version = version_, .up = up_};
  AddCpus(at, cpus_);
  boot.complete = true;
  boot.begin = kexec_ ? kexec_ : at.first_left ? at.first_left : at.version;
  if (kexec_) boot.total = *up_ - *kexec_;
  boot.phases = PhasesOf(at);
  boot.shares = SharesOf(at, cpus_);
  if (boots_.size() == 1) {  // Nothing was there before the first boot.
    boot.phases.prepare = boot.phases.down = boot.phases.jump = std::nullopt;
    boot.shares.prepare = boot.shares.down = boot.shares.jump = std::nullopt;
  }
  if (boots_.size() * cpus_.size() <= kMaxPerCpuRecords && boot.begin) {
    boot.per_cpu = PerCpu(*boot.begin, at, cpus_);
  }
  if (version_) boot.steps = steps_.Ended();
}

}  // namespace vmm
