// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_FAKE_VCPU_H_
#define PARKVMM_TESTS_SUPPORT_FAKE_VCPU_H_

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

// A vCPU whose "guest" is a script of exits. When the script is over it runs
// until it is kicked, as a guest in a loop would. What the VMM does to it is
// recorded in the order in which it is done.
class FakeVcpu : public Vcpu {
 public:
  explicit FakeVcpu(uint64_t mpidr) : mpidr_(mpidr) {}

  // What the guest does next: an exit, with X1 to X3 set before it.
  void Then(VcpuExit exit, std::array<uint64_t, 3> x1_to_x3 = {});
  // Any thread, at any time.
  std::vector<std::string> calls() const;
  uint64_t x0() const;

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
  absl::Status WatchStores(GuestRange range) override;
  absl::Status Step() override;
  absl::Status EndDebug() override;
  void Nudge() override;
  void Kick() override;

  // What the guest's registers hold, where a test cares.
  uint64_t pc = 0xfeed;
  uint64_t vbar = 0;
  uint64_t sctlr = 0;  // The MMU is off.
  uint64_t tcr = 0;
  uint64_t ttbr0 = 0;
  uint64_t ttbr1 = 0;
  // Which call fails, by the beginning of its record, for example "watch". What
  // is not recorded has a name, too: "get pc", "get sctlr", "get x3".
  std::string fails;
  // What the guest does to memory, each time it has run.
  std::function<void()> on_run;
  std::function<void()> on_reset;
  std::function<void()> on_nudge;
  bool deaf = false;  // Only a kick calls it out of the guest.
  std::array<uint64_t, 31> x = {};

 private:
  struct Scripted {
    VcpuExit exit;
    std::array<uint64_t, 3> x1_to_x3;
  };
  absl::Status Note(std::string call);
  absl::Status Failure(absl::string_view call) const;

  const uint64_t mpidr_;
  mutable std::mutex mutex_;
  std::condition_variable kicked_changed_;
  bool kicked_ = false;
  bool nudged_ = false;
  std::deque<Scripted> script_;
  std::array<uint64_t, 4> x_ = {};
  std::vector<std::string> calls_;
};

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_FAKE_VCPU_H_
