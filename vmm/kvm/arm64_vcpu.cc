// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/arm64_vcpu.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <utility>

#include "vmm/base/status_macros.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/ioctl.h"

namespace vmm {
namespace {

// Makes KVM_RUN return. No real-time signal: of those a user can have only so
// many pending (RLIMIT_SIGPENDING), and tgkill() fails beyond that.
constexpr int kKick = SIGUSR1;

}  // namespace

absl::Status Arm64Vcpu::PrepareForKicks() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, kKick);
  if (sigaction(kKick, &action, nullptr) == 0 &&
      sigprocmask(SIG_UNBLOCK, &kick, nullptr) == 0) {
    return absl::OkStatus();
  }
  return KvmError("handling the signal that kicks a vCPU");
}

absl::StatusOr<std::unique_ptr<Arm64Vcpu>> Arm64Vcpu::Create(
    UniqueFd fd, size_t run_size, std::shared_ptr<const ResetImage> reset) {
  void* const run =
      mmap(nullptr, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (run == MAP_FAILED) return KvmError("mapping a vCPU's run page");
  auto vcpu = std::unique_ptr<Arm64Vcpu>(new Arm64Vcpu(
      std::move(fd), static_cast<kvm_run*>(run), run_size, std::move(reset)));
  ASSIGN_OR_RETURN(vcpu->mpidr_, vcpu->Get(kMpidrEl1));
  return vcpu;
}

Arm64Vcpu::Arm64Vcpu(UniqueFd fd, kvm_run* run, size_t run_size,
                     std::shared_ptr<const ResetImage> reset)
    : fd_(std::move(fd)),
      run_(run),
      run_size_(run_size),
      reset_(std::move(reset)) {}

Arm64Vcpu::~Arm64Vcpu() { munmap(run_, run_size_); }

absl::StatusOr<uint64_t> Arm64Vcpu::Get(uint64_t id) {
  uint64_t value = 0;
  kvm_one_reg reg = {id, reinterpret_cast<uintptr_t>(&value)};
  RETURN_IF_ERROR(Ioctl(fd_.get(), uapi::kGetOneReg, &reg).status());
  return value;
}

absl::Status Arm64Vcpu::Set(uint64_t id, uint64_t value) {
  kvm_one_reg reg = {id, reinterpret_cast<uintptr_t>(&value)};
  return Ioctl(fd_.get(), uapi::kSetOneReg, &reg).status();
}

absl::StatusOr<VcpuExit> Arm64Vcpu::Run() {
  if (thread_.load(std::memory_order_relaxed) == 0) thread_ = gettid();
  if (RawIoctl(fd_.get(), uapi::kRun, 0) == 0) return DecodeExit(*run_);
  if (errno == EINTR || errno == EAGAIN) return AfterInterrupt();
  if (errno == EFAULT) return StoreRefused{};
  return IoctlError(uapi::kRun);
}

void Arm64Vcpu::SetImmediateExit(uint8_t value) {
  __atomic_store_n(&run_->immediate_exit, value, __ATOMIC_SEQ_CST);
}

// A nudge is over once it was heard; a kick never is.
VcpuExit Arm64Vcpu::AfterInterrupt() {
  nudged_ = false;
  ClearImmediateExit();
  return Interrupted{};
}

// Either may come between: they note what they want before they set the byte.
void Arm64Vcpu::ClearImmediateExit() {
  SetImmediateExit(0);
  if (kicked_ || nudged_) SetImmediateExit(1);
}

void Arm64Vcpu::AnswerRead(uint64_t value) {
  std::memcpy(run_->mmio.data, &value, sizeof(value));
}

// On the guest's critical path, hence without the wrappers.
absl::Status Arm64Vcpu::ReadArguments(absl::Span<uint64_t> registers) {
  for (unsigned i = 0; i < registers.size(); ++i) {
    kvm_one_reg reg = {XRegister(i + 1),
                       reinterpret_cast<uintptr_t>(&registers[i])};
    if (RawIoctl(fd_.get(), uapi::kGetOneReg, &reg) != 0) {
      return IoctlError(uapi::kGetOneReg);
    }
  }
  return absl::OkStatus();
}

absl::Status Arm64Vcpu::WriteX(unsigned index, uint64_t value) {
  return Set(XRegister(index), value);
}

absl::StatusOr<uint64_t> Arm64Vcpu::ReadX(unsigned index) {
  return Get(XRegister(index));
}

absl::StatusOr<uint64_t> Arm64Vcpu::Read(GuestRegister which) {
  switch (which) {
    case GuestRegister::kPc:
      return Get(kPcRegister);
    case GuestRegister::kVbarEl1:
      return Get(kVbarEl1);
    case GuestRegister::kSctlrEl1:
      return Get(kSctlrEl1);
    case GuestRegister::kTcrEl1:
      return Get(kTcrEl1);
    case GuestRegister::kTtbr0El1:
      return Get(kTtbr0El1);
    case GuestRegister::kTtbr1El1:
      return Get(kTtbr1El1);
  }
  return absl::InternalError("no such register");
}

absl::Status Arm64Vcpu::WritePc(uint64_t value) {
  return Set(kPcRegister, value);
}

// KVM moves PC past an access to a device when the vCPU is next run; of one
// that parked by such a store that would be past its entry.
absl::Status Arm64Vcpu::FinishAccess() {
  if (run_->exit_reason != KVM_EXIT_MMIO) return absl::OkStatus();
  SetImmediateExit(1);
  if (RawIoctl(fd_.get(), uapi::kRun, 0) == 0) {
    return absl::InternalError("KVM_RUN did not finish an access to a device");
  }
  if (errno != EINTR) return IoctlError(uapi::kRun);
  ClearImmediateExit();  // The next Run() hears a nudge, this did not.
  return absl::OkStatus();
}

absl::Status Arm64Vcpu::Reset() {
  RETURN_IF_ERROR(FinishAccess());
  return reset_ ? reset_->Restore(fd_.get()) : absl::OkStatus();
}

absl::Status Arm64Vcpu::SetEntry(GuestAddress entry, uint64_t x0) {
  RETURN_IF_ERROR(Set(kPcRegister, entry.value()));
  return Set(XRegister(0), x0);
}

absl::Status Arm64Vcpu::SetMpState(uint32_t state) {
  kvm_mp_state mp_state = {state};
  return Ioctl(fd_.get(), uapi::kSetMpState, &mp_state).status();
}

absl::Status Arm64Vcpu::Suspend() { return SetMpState(KVM_MP_STATE_SUSPENDED); }

absl::Status Arm64Vcpu::Resume() { return SetMpState(KVM_MP_STATE_RUNNABLE); }

absl::Status Arm64Vcpu::InjectDataAbort() {
  kvm_vcpu_events events = {};
  events.exception.ext_dabt_pending = 1;
  return Ioctl(fd_.get(), uapi::kSetVcpuEvents, &events).status();
}

absl::Status Arm64Vcpu::SetDebug(kvm_guest_debug& debug) {
  return Ioctl(fd_.get(), uapi::kSetGuestDebug, &debug).status();
}

absl::Status Arm64Vcpu::WatchStores(GuestRange range) {
  // DBGWCR_EL1 (Arm ARM D19.3): enabled, EL1, stores, all bytes, masked.
  constexpr uint64_t kEnable = 1;
  constexpr uint64_t kEl1 = 1 << 1;
  constexpr uint64_t kStores = 2 << 3;
  constexpr uint64_t kAllBytes = 0xff << 5;
  constexpr unsigned kMaskShift = 24;
  const auto bits = static_cast<uint64_t>(std::countr_zero(range.size()));
  kvm_guest_debug debug = {};
  debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
  debug.arch.dbg_wcr[0] = kEnable | kEl1 | kStores | kAllBytes |
                          (bits > 3 ? bits : 0) << kMaskShift;
  debug.arch.dbg_wvr[0] = range.base().value();
  return SetDebug(debug);
}

absl::Status Arm64Vcpu::Step() {
  kvm_guest_debug debug = {};
  debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
  return SetDebug(debug);
}

absl::Status Arm64Vcpu::EndDebug() {
  kvm_guest_debug debug = {};
  return SetDebug(debug);
}

// One signal is enough: it interrupts a KVM_RUN that has begun, and one that
// has not yet begun finds immediate_exit set.
void Arm64Vcpu::Interrupt() {
  SetImmediateExit(1);
  if (const int thread = thread_; thread != 0) {
    tgkill(getpid(), thread, kKick);
  }
}

void Arm64Vcpu::Nudge() {
  nudged_ = true;
  Interrupt();
}

void Arm64Vcpu::Kick() {
  kicked_ = true;
  Interrupt();
}

}  // namespace vmm
