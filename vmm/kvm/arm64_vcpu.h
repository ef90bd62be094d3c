// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_ARM64_VCPU_H_
#define PARKVMM_VMM_KVM_ARM64_VCPU_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/arm64_reset_image.h"
#include "vmm/kvm/vcpu.h"

struct kvm_guest_debug;
struct kvm_run;

namespace vmm {

// A vCPU of the real KVM.
class Arm64Vcpu : public Vcpu {
 public:
  // Before any vCPU is kicked: gives the kick's signal a handler, which does
  // nothing, for without one it ends the process; and lets it come, to this
  // thread and those that it starts. kInternal if the host does not let us.
  static absl::Status PrepareForKicks();

  // Takes an initialised, finalised vCPU. `reset` may be shared by all vCPUs
  // of the VM; nullptr: it is the only one, which nobody can start again, and
  // Reset() leaves its registers alone. `run_size`: KVM_GET_VCPU_MMAP_SIZE.
  static absl::StatusOr<std::unique_ptr<Arm64Vcpu>> Create(
      UniqueFd fd, size_t run_size, std::shared_ptr<const ResetImage> reset);
  ~Arm64Vcpu() override;
  Arm64Vcpu(const Arm64Vcpu&) = delete;
  Arm64Vcpu& operator=(const Arm64Vcpu&) = delete;

  uint64_t mpidr() const override { return mpidr_; }
  absl::StatusOr<VcpuExit> Run() override;
  void AnswerRead(uint64_t value) override;
  absl::Status ReadArguments(absl::Span<uint64_t> registers) override;
  absl::Status WriteX(unsigned index, uint64_t value) override;
  absl::StatusOr<uint64_t> ReadX(unsigned index) override;
  absl::StatusOr<uint64_t> Read(GuestRegister which) override;
  absl::Status WritePc(uint64_t value) override;
  absl::Status Reset() override;
  absl::Status SetEntry(GuestAddress entry, uint64_t x0) override;
  absl::Status Suspend() override;
  absl::Status Resume() override;
  absl::Status InjectDataAbort() override;
  // Cold: inlined into the loop around Run(), it costs each exit two
  // instructions.
  [[gnu::cold]] absl::Status WatchStores(GuestRange range) override;
  absl::Status Step() override;
  absl::Status EndDebug() override;
  void Nudge() override;
  void Kick() override;

 private:
  Arm64Vcpu(UniqueFd fd, kvm_run* run, size_t run_size,
            std::shared_ptr<const ResetImage> reset);
  absl::StatusOr<uint64_t> Get(uint64_t id);
  absl::Status Set(uint64_t id, uint64_t value);
  absl::Status SetMpState(uint32_t state);
  absl::Status SetDebug(kvm_guest_debug& debug);
  VcpuExit AfterInterrupt();
  void ClearImmediateExit();
  void Interrupt();
  absl::Status FinishAccess();
  void SetImmediateExit(uint8_t value);

  const UniqueFd fd_;
  kvm_run* const run_;  // Mapped; shared with KVM.
  const size_t run_size_;
  const std::shared_ptr<const ResetImage> reset_;
  uint64_t mpidr_ = 0;
  std::atomic<int> thread_ = 0;  // Who runs it, once somebody did.
  std::atomic<bool> kicked_ = false;
  std::atomic<bool> nudged_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_ARM64_VCPU_H_
