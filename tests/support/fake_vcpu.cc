// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_vcpu.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace vmm {

void FakeVcpu::Then(VcpuExit exit, std::array<uint64_t, 3> x1_to_x3) {
  std::lock_guard lock(mutex_);
  script_.push_back({exit, x1_to_x3});
}

void FakeVcpu::Note(std::string call) {
  std::lock_guard lock(mutex_);
  calls_.push_back(std::move(call));
}

std::vector<std::string> FakeVcpu::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

uint64_t FakeVcpu::x0() const {
  std::lock_guard lock(mutex_);
  return x_[0];
}

absl::StatusOr<VcpuExit> FakeVcpu::Run() {
  std::unique_lock lock(mutex_);
  calls_.push_back("run");
  if (on_run) on_run();
  if (script_.empty()) {
    kicked_changed_.wait(lock, [this] { return kicked_ || nudged_; });
    nudged_ = false;
    return Interrupted{};
  }
  const Scripted step = script_.front();
  script_.pop_front();
  for (size_t i = 0; i < 3; ++i) x_[i + 1] = step.x1_to_x3[i];
  return step.exit;
}

void FakeVcpu::AnswerRead(uint64_t value) {
  Note(absl::StrFormat("answer %#x", value));
}

absl::Status FakeVcpu::ReadArguments(absl::Span<uint64_t> registers) {
  for (size_t i = 0; i < registers.size(); ++i) {
    Note(absl::StrFormat("read x%d", i + 1));
    std::lock_guard lock(mutex_);
    registers[i] = x_[i + 1];
  }
  return absl::OkStatus();
}

absl::Status FakeVcpu::WriteX(unsigned index, uint64_t value) {
  Note(absl::StrFormat("x%d = %d", index, static_cast<int64_t>(value)));
  std::lock_guard lock(mutex_);
  x_[index] = value;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FakeVcpu::ReadX(unsigned index) { return x[index]; }

absl::StatusOr<uint64_t> FakeVcpu::Read(GuestRegister which) {
  if (which == GuestRegister::kPc) return pc;
  return which == GuestRegister::kSctlrEl1 ? sctlr : 0;
}

absl::Status FakeVcpu::WritePc(uint64_t value) {
  Note(absl::StrFormat("pc = %#x", value));
  return absl::OkStatus();
}

absl::Status FakeVcpu::WatchStores(GuestRange range) {
  Note(absl::StrFormat("watch %#x", range.base().value()));
  return absl::OkStatus();
}

absl::Status FakeVcpu::Step() {
  Note("step");
  return absl::OkStatus();
}

absl::Status FakeVcpu::EndDebug() {
  Note("end debug");
  return absl::OkStatus();
}

void FakeVcpu::Nudge() {
  if (on_nudge) on_nudge();
  std::lock_guard lock(mutex_);
  nudged_ = !deaf;
  kicked_changed_.notify_all();
}

absl::Status FakeVcpu::Reset() {
  Note("reset");
  if (on_reset) on_reset();
  return absl::OkStatus();
}

absl::Status FakeVcpu::SetEntry(GuestAddress entry, uint64_t x0) {
  Note(absl::StrFormat("enter %#x %d", entry.value(), x0));
  return absl::OkStatus();
}

absl::Status FakeVcpu::Suspend() {
  Note("suspend");
  return absl::OkStatus();
}

absl::Status FakeVcpu::Resume() {
  Note("resume");
  return absl::OkStatus();
}

absl::Status FakeVcpu::InjectDataAbort() {
  Note("abort");
  return absl::OkStatus();
}

void FakeVcpu::Kick() {
  std::lock_guard lock(mutex_);
  kicked_ = true;
  kicked_changed_.notify_all();
}

}  // namespace vmm
