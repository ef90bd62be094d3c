// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/kexec_tracker.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "psci-emul/psci_abi.h"
#include "vmm/devices/mark_abi.h"

namespace vmm {
namespace {

// Beyond this many records the per-CPU attribution of later boots is left out.
constexpr size_t kMaxPerCpuRecords = 1'000'000;

bool IsCpuOn(const Event& event) {
  return event.function == PSCI_CPU_ON_32 || event.function == PSCI_CPU_ON_64;
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

// Forgets the ways out of CPUs that left long before the others.
void ForgetEarlierLeaves(absl::Span<CpuRecord> cpus) {
  std::vector<int64_t> leaves;
  for (const CpuRecord& cpu : cpus) {
    if (cpu.next) leaves.push_back(cpu.next->left);
  }
  std::sort(leaves.begin(), leaves.end());
  int64_t first = leaves.empty() ? 0 : leaves.front();
  for (size_t i = 1; i < leaves.size(); ++i) {
    if (leaves[i] - leaves[i - 1] > KexecTracker::kApartNs) first = leaves[i];
  }
  for (CpuRecord& cpu : cpus) {
    if (cpu.next && cpu.next->left < first) cpu.next.reset();
  }
}

bool IsCalledBeforeTheLastLeft(const Boundaries& at,
                               absl::Span<const CpuRecord> cpus) {
  return absl::c_any_of(cpus, [&at](const CpuRecord& cpu) {
    return at.first_called && cpu.leave &&
           *at.first_called < cpu.leave->off.value_or(cpu.leave->left);
  });
}

}  // namespace

KexecTracker::KexecTracker(absl::Span<const uint64_t> mpidrs, Keep keep)
    : keep_(keep), cpus_(mpidrs.size()) {
  for (uint32_t i = 0; i < mpidrs.size(); ++i) vcpu_of_[mpidrs[i]] = i;
  boots_.push_back({.cpus = static_cast<uint32_t>(mpidrs.size())});
}

CpuRecord* KexecTracker::FindTarget(uint64_t mpidr) {
  const auto found = vcpu_of_.find(mpidr);
  return found == vcpu_of_.end() ? nullptr : &cpus_[found->second];
}

void KexecTracker::BeginKexec(std::optional<int64_t> mark, uint32_t cpus) {
  Forget();
  if (!boots_.back().came_up && version_) Complete(CameUpBy::kNextKexec);
  boots_.push_back({.number = boots_.back().number + 1,
                    .kexec = true,
                    .announced = mark.has_value(),
                    .crash = !mark && (panicked_ || marks_up_),
                    .cpus = cpus});
  kexec_ = mark;
  version_.reset();
  up_.reset();
  probed_ = false;
  steps_.Begin();
  for (CpuRecord& cpu : cpus_) {
    // With a mark, only what leaves from here on leaves for this kexec.
    cpu = {.leave = mark ? std::nullopt : std::exchange(cpu.next, {})};
  }
}

// The last one may not have been reported yet; those before it have.
void KexecTracker::Forget() {
  if (keep_ == Keep::kAll || boots_.size() < 3) return;
  const Boot& boot = boots_[boots_.size() - 2];
  if (!boot.came_up || boot.cpus_back < boot.cpus) return;
  boots_.erase(boots_.end() - 2);
  ++forgotten_;
}

std::optional<size_t> KexecTracker::Add(const Event& event) {
  switch (event.kind) {
    case Event::Kind::kPsci:
      AddPsci(event);
      break;
    case Event::Kind::kParkStore:
      AddLeave(event);
      break;
    case Event::Kind::kReleaseStore:
      AddCall(event.args[0], event);
      break;
    case Event::Kind::kOff:
      AddOff(event);
      break;
    case Event::Kind::kStart:
      AddStart(event);
      break;
    case Event::Kind::kMark:
      AddMark(event);
      break;
    case Event::Kind::kVerdict:
    case Event::Kind::kReset:
    case Event::Kind::kPowerOff:
      break;
  }
  active_ns_ = event.ns;
  return std::exchange(came_up_, std::nullopt);
}

std::optional<int64_t> KexecTracker::SettlesAt() const {
  const Boot& boot = boots_.back();
  // A guest that marks says itself when it is up, and a first boot has time
  // until the next.
  if (!boot.kexec || boot.came_up || !version_ || marks_up_) {
    return std::nullopt;
  }
  return active_ns_ + (AllAreBack() ? kSettleNs : kApartNs);
}

std::optional<size_t> KexecTracker::Settle(int64_t now_ns) {
  const std::optional<int64_t> at = SettlesAt();
  if (at && now_ns >= *at) Complete(CameUpBy::kSettled);
  return std::exchange(came_up_, std::nullopt);
}

std::optional<size_t> KexecTracker::End(bool by_guest) {
  const Boot& boot = boots_.back();
  const bool waits_for_mark = boot.kexec && marks_up_;
  if (!boot.came_up && version_ && !waits_for_mark) {
    if (by_guest) {
      Complete(CameUpBy::kEnd);
    } else if (AllAreBack()) {
      Complete(CameUpBy::kStopped);
    }
  }
  return std::exchange(came_up_, std::nullopt);
}

void KexecTracker::AddPsci(const Event& event) {
  saw_kernel_ = true;
  if (event.function == PSCI_MIGRATE_INFO_TYPE) {
    AddMigrateInfo(event);
  } else if (asked_again_ && asked_again_->vcpu == event.vcpu) {
    asked_again_.reset();
  }
  if (event.function == PSCI_VERSION) {
    AddVersion(event);
  } else if (event.function == PSCI_CPU_OFF) {
    AddLeave(event);
  } else if (IsAffinityOff(event)) {
    AddKnownOff(event.args[0], event.ns);
  } else if (IsCpuOn(event)) {
    AddCall(event.args[0], event);
  }
}

void KexecTracker::AddVersion(const Event& event) {
  if (version_) {
    asked_again_ = {event.ns, event.vcpu};
    return;
  }
  version_ = event.ns;
  // Until now the old kernel ran: whom it turned on has not left.
  if (boots_.size() > 1) {
    for (CpuRecord& cpu : cpus_) {
      if (cpu.arrival) cpu = {};
      cpu.refused.reset();
    }
  }
}

void KexecTracker::AddMigrateInfo(const Event& event) {
  const bool again = asked_again_ && asked_again_->vcpu == event.vcpu;
  if (again && probed_ && !IsFull()) {
    BeginUnannounced(asked_again_->ns);
  }
  if (again) asked_again_.reset();
  probed_ = version_.has_value();
}

void KexecTracker::BeginUnannounced(int64_t version_ns) {
  ForgetEarlierLeaves(absl::MakeSpan(cpus_));
  const auto left =
      std::count_if(cpus_.begin(), cpus_.end(),
                    [](const CpuRecord& cpu) { return cpu.next.has_value(); });
  // The CPU that boots may have left, too, and was turned on again.
  BeginKexec(std::nullopt,
             static_cast<uint32_t>(std::min(left + 1, std::ssize(cpus_))));
  version_ = version_ns;
}

void KexecTracker::AddLeave(const Event& event) {
  saw_kernel_ = true;
  CpuRecord& cpu = cpus_[event.vcpu];
  Leave leave = {.left = event.ns,
                 .parked = event.kind == Event::Kind::kParkStore,
                 .sampled = event.sampled};
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
  if (event.result != PSCI_RET_SUCCESS) {
    if (!cpu->arrival) cpu->refused = event.result;
    return;
  }
  cpu->next.reset();
  if (cpu->arrival) return;
  cpu->arrival = {.called = event.ns,
                  .released = event.kind == Event::Kind::kReleaseStore,
                  .sampled = event.sampled};
}

void KexecTracker::AddStart(const Event& event) {
  // The boot CPU's start is nobody's CPU_ON; it begins the first boot.
  if (boots_.size() == 1 && !kexec_) kexec_ = event.ns;
  std::optional<Arrival>& arrival = cpus_[event.vcpu].arrival;
  if (arrival && !arrival->started) {
    arrival->started = event.ns;
    arrival->firmware = event.firmware_ns;
  }
  if (!boots_.back().came_up) Count();
}

void KexecTracker::AddMark(const Event& event) {
  saw_kernel_ = true;
  const uint64_t value = event.args[1];
  // No count of CPUs that there are.
  const bool counts = value >= 1 && value <= cpus_.size();
  switch (event.args[0]) {
    case MARK_CODE_KEXEC: {
      // A second one without a boot in between: the first kexec failed.
      const bool retry =
          boots_.back().announced && !boots_.back().came_up && !version_;
      if (retry) boots_.pop_back();
      if (!IsFull()) {
        BeginKexec(event.ns,
                   static_cast<uint32_t>(counts ? value : cpus_.size()));
      }
      return;
    }
    case MARK_CODE_UP: {
      Boot& boot = boots_.back();
      marks_up_ = true;
      if (boot.came_up && boot.came_up != CameUpBy::kSettled) return;
      up_ = event.ns;
      Complete(CameUpBy::kMark);
      if (counts) boot.cpus_back = static_cast<uint32_t>(value);
      if (boot.cpus_back >= boot.cpus) boot.lost.clear();
      return;
    }
    case MARK_CODE_STEP_ENTER:
      if (!up_) steps_.Enter(event.ns, value);
      return;
    case MARK_CODE_STEP_EXIT:
      if (!up_) steps_.Exit(event.ns, value, version_.has_value());
      return;
    case MARK_CODE_STEP_NAME:
      steps_.AddName(value);
      return;
    default:
      return;
  }
}

bool KexecTracker::AllAreBack() const {
  const Boot& boot = boots_.back();
  return boot.cpus_back >= boot.cpus;
}

void KexecTracker::Count() {
  Boot& boot = boots_.back();
  boot.doors = DoorsOf(cpus_);
  // The boot CPU is one of them if it left and was turned on again.
  boot.cpus_back = std::min(1 + boot.doors.cpu_on + boot.doors.release,
                            static_cast<uint32_t>(cpus_.size()));
}

void KexecTracker::Complete(CameUpBy by) {
  Count();
  came_up_ = boots_.size() - 1;
  Boot& boot = boots_.back();
  Boundaries at = {.kexec = kexec_, .version = version_, .up = up_};
  AddCpus(at, cpus_);
  // Without a version, who is called before the last one has left is called by
  // the old kernel, and who comes for the new one cannot be told.
  if (boot.kexec && !version_ && IsCalledBeforeTheLastLeft(at, cpus_)) {
    at.first_called = at.last_started = std::nullopt;
  }
  boot.came_up = by;
  boot.lost = LostOf(cpus_);
  if (!boot.kexec) {  // Nobody was there before: who is on already is on.
    std::erase_if(boot.lost, [](const LostCpu& cpu) {
      return cpu.answer == PSCI_RET_ALREADY_ON;
    });
  }
  boot.begin = kexec_ ? kexec_ : at.first_left ? at.first_left : at.version;
  if (kexec_ && up_) boot.total = *up_ - *kexec_;
  if (kexec_ && at.last_off && boot.kexec) {
    boot.teardown = *at.last_off - *kexec_;
  }
  boot.phases = PhasesOf(at);
  boot.shares = SharesOf(at, cpus_);
  if (boots_.size() == 1) {  // Nothing was there before the first boot.
    boot.phases.prepare = boot.phases.down = boot.phases.jump = std::nullopt;
    boot.shares.prepare = boot.shares.down = boot.shares.jump = std::nullopt;
  }
  if ((boot.number + 1) * cpus_.size() <= kMaxPerCpuRecords && boot.begin) {
    boot.per_cpu = PerCpu(*boot.begin, at, cpus_);
  }
  if (version_) boot.steps = steps_.Ended();
}

}  // namespace vmm
