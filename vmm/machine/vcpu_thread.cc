// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu_thread.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "vmm/arch/stage1.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

// A CPU that has just turned itself off is seldom the only one. Resetting its
// registers takes longer than all the rest of CPU_OFF, so it waits until nobody
// has left for so long, and nobody needs the host's CPUs for that; but not for
// ever, where some leave again and again.
constexpr std::chrono::milliseconds kSettle(5);
constexpr int kSettlings = 20;

// A vCPU that is on leaves the guest at once.
constexpr std::chrono::milliseconds kAnswerDeadline(100);

// Of firmware's time, spent awake: who sleeps wakes up some microseconds late.
constexpr int64_t kAwakeNs = 50'000;

constexpr std::optional<psci::Door> DoorOf(NextStep step) {
  switch (step) {
    case NextStep::kTurnOff:
      return psci::Door::kCpuOff;
    case NextStep::kParkPage:
      return psci::Door::kPage;
    case NextStep::kParkDevice:
      return psci::Door::kDevice;
    default:
      return std::nullopt;
  }
}

}  // namespace

VcpuThread::VcpuThread(psci::VcpuId id, std::unique_ptr<Vcpu> vcpu,
                       const Deps& deps, EventRing& events)
    : id_(id),
      vcpu_(std::move(vcpu)),
      deps_(deps),
      events_(events),
      dispatcher_(psci::Index(id), deps.bus, deps.psci, deps.parking,
                  deps.clock, events) {}

VcpuThread::~VcpuThread() {
  Stop();
  Join();
}

void VcpuThread::Start() {
  thread_ = std::thread([this] { Main(); });
}

void VcpuThread::Stop() {
  stopping_ = true;
  vcpu_->Kick();
  answered_.NotifyAll();
}

void VcpuThread::Join() {
  if (thread_.joinable()) thread_.join();
}

std::optional<Whereabouts> VcpuThread::Ask() {
  if (!deps_.kvm_psci && deps_.power.StateOf(id_) != psci::PowerState::kOn) {
    return std::nullopt;
  }
  const MutexLock alone(asking_);
  const MutexLock lock(answer_mutex_);
  answer_.reset();
  asked_ = true;
  vcpu_->Nudge();
  const auto end = std::chrono::steady_clock::now() + kAnswerDeadline;
  while (!answer_ && !stopping_) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= left.zero()) break;
    answered_.WaitFor(answer_mutex_, left);
  }
  asked_ = false;
  return answer_;
}

absl::Status VcpuThread::Answer() {
  ASSIGN_OR_RETURN(const uint64_t pc, vcpu_->Read(GuestRegister::kPc));
  ASSIGN_OR_RETURN(const uint64_t sctlr, vcpu_->Read(GuestRegister::kSctlrEl1));
  const MutexLock lock(answer_mutex_);
  asked_ = false;
  answer_ = Whereabouts{pc, Stage1{.sctlr = sctlr}.MmuIsOn()};
  answered_.NotifyAll();
  return absl::OkStatus();
}

int64_t VcpuThread::HostCpuNs() const {
  clockid_t clock;
  timespec used;
  auto& thread = const_cast<std::thread&>(thread_);
  if (pthread_getcpuclockid(thread.native_handle(), &clock) != 0 ||
      clock_gettime(clock, &used) != 0) {
    return 0;
  }
  return absl::ToInt64Nanoseconds(absl::DurationFromTimespec(used));
}

void VcpuThread::Main() {
  // For ps, top and /proc: tests find the parked ones by it.
  pthread_setname_np(pthread_self(),
                     absl::StrCat("vcpu", psci::Index(id_)).c_str());
  // Deadlines of ours are to be met, not gathered.
  if (deps_.firmware != nullptr) prctl(PR_SET_TIMERSLACK, 1);
  absl::Status status = Confine();
  if (status.ok()) status = Live();
  if (!status.ok()) {
    deps_.request_stop(StopReasonOf(status, psci::Index(id_)));
  }
}

absl::Status VcpuThread::Confine() {
  if (deps_.sandbox == nullptr) return absl::OkStatus();
  return deps_.sandbox->Enter(ThreadKind::kVcpu,
                              absl::StrCat("vcpu", psci::Index(id_)));
}

void VcpuThread::Record(Event::Kind kind, const psci::BootContext& context,
                        int64_t firmware_ns) {
  const bool start = kind == Event::Kind::kStart;
  events_.Push({.ns = deps_.clock.Now(),
                .vcpu = psci::Index(id_),
                .kind = kind,
                .arguments = static_cast<uint8_t>(start ? 2 : 1),
                .args = {context.entry, context.context_id},
                .firmware_ns = firmware_ns});
}

std::optional<int64_t> VcpuThread::Spend(psci::Transition transition) {
  const Clock& clock = deps_.clock;
  const int64_t begin = clock.Now();
  const int64_t end = deps_.firmware->CompletionOf(transition, id_, begin);
  if (end == begin) return 0;
  if (!deps_.power.SleepUntil(id_, clock.ToMonotonic(end - kAwakeNs))) {
    return std::nullopt;
  }
  // Without a yield: in virtual time that is for as long as the next one likes.
  int64_t now = clock.Now();
  while (now < end) now = clock.Now();
  return now - begin;
}

std::optional<int64_t> VcpuThread::SpendOn() {
  using By = psci::PowerTable::By;
  if (deps_.firmware == nullptr) return 0;
  const auto by = deps_.power.AwaitStart(id_);
  if (!by) return std::nullopt;
  if (*by != By::kCpuOn) return 0;
  return Spend(psci::Transition::kOn);
}

std::optional<int64_t> VcpuThread::SpendOff(psci::Door door) {
  if (deps_.firmware == nullptr || door != psci::Door::kCpuOff) return 0;
  const auto spent = Spend(psci::Transition::kOff);
  if (!spent) StopsWhileOn();
  return spent;
}

void VcpuThread::StopsWhileOn() {
  post_mortem_.state = psci::PowerState::kOn;
  if (const auto pc = vcpu_->Read(GuestRegister::kPc); pc.ok()) {
    post_mortem_.pc = *pc;
  }
  post_mortem_.vectors = vcpu_->Read(GuestRegister::kVbarEl1).value_or(0);
}

bool VcpuThread::Settles() const {
  std::chrono::nanoseconds left = kSettle;
  for (int i = 0; i < kSettlings && left > left.zero(); ++i) {
    if (!deps_.power.StaysOff(id_, left)) return false;
    const std::chrono::steady_clock::time_point last(
        std::chrono::nanoseconds(deps_.power.LastOffNs()));
    left = last + kSettle - std::chrono::steady_clock::now();
  }
  return true;
}

absl::Status VcpuThread::Live() {
  if (deps_.kvm_psci && psci::Index(id_) != 0) {
    return RunUntilOff().status();
  }
  bool used = false;  // The registers are no longer those of a new CPU.
  for (;;) {
    if (used && Settles()) {
      RETURN_IF_ERROR(vcpu_->Reset());
      RETURN_IF_ERROR(deps_.parking.WhileOff(id_, *vcpu_));
      used = false;
    }
    const auto on_ns = SpendOn();
    const auto context = on_ns ? deps_.power.AwaitBoot(id_) : std::nullopt;
    if (!context) {
      post_mortem_.state = deps_.power.StateOf(id_);
      break;
    }
    deps_.parking.Entered(id_);
    if (used) RETURN_IF_ERROR(vcpu_->Reset());
    RETURN_IF_ERROR(
        vcpu_->SetEntry(GuestAddress(context->entry), context->context_id));
    if (stopping_.load(std::memory_order_acquire)) {
      StopsWhileOn();  // It will never execute anything: that is no start.
      break;
    }
    Record(Event::Kind::kStart, *context, *on_ns);
    ASSIGN_OR_RETURN(const auto left_by, RunUntilOff());
    if (!left_by) break;
    post_mortem_.door = *left_by;
    const auto off_ns = SpendOff(*left_by);
    if (!off_ns) break;
    const bool nobody_left = deps_.power.PowerOff(id_, *left_by);
    Record(Event::Kind::kOff, {static_cast<uint64_t>(*left_by)}, *off_ns);
    RETURN_IF_ERROR(deps_.parking.Left(id_, *left_by));
    if (nobody_left) {
      deps_.request_stop(
          {.kind = StopReason::Kind::kAllOff, .vcpu = psci::Index(id_)});
    }
    used = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<psci::Door>> VcpuThread::RunUntilOff() {
  while (!stopping_.load(std::memory_order_acquire)) {
    RETURN_IF_ERROR(deps_.parking.BeforeRun(id_, *vcpu_));
    if (asked_.load(std::memory_order_relaxed)) RETURN_IF_ERROR(Answer());
    ASSIGN_OR_RETURN(const VcpuExit exit, vcpu_->Run());
    ASSIGN_OR_RETURN(const NextStep step, dispatcher_.Dispatch(exit, *vcpu_));
    if (const auto door = DoorOf(step)) return door;
    if (step == NextStep::kStop) {
      deps_.request_stop(dispatcher_.stop_reason());
    }
  }
  StopsWhileOn();
  return std::nullopt;
}

}  // namespace vmm
