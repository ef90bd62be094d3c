// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_vcpu.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/status_macros.h"

namespace vmm {

void FakeVcpu::Then(VcpuExit exit, std::array<uint64_t, 3> x1_to_x3) {
  std::lock_guard lock(mutex_);
  script_.push_back({exit, x1_to_x3});
}

absl::Status FakeVcpu::Note(std::string call) {
  absl::Status failure = Failure(call);
  std::lock_guard lock(mutex_);
  calls_.push_back(std::move(call));
  return failure;
}

absl::Status FakeVcpu::Failure(absl::string_view call) const {
  if (fails.empty() || !absl::StartsWith(call, fails)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot ", call));
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
  if (absl::Status failure = Failure("run"); !failure.ok()) return failure;
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
  static_cast<void>(Note(absl::StrFormat("answer %#x", value)));
}

absl::Status FakeVcpu::ReadArguments(absl::Span<uint64_t> registers) {
  for (size_t i = 0; i < registers.size(); ++i) {
    RETURN_IF_ERROR(Note(absl::StrFormat("read x%d", i + 1)));
    std::lock_guard lock(mutex_);
    registers[i] = x_[i + 1];
  }
  return absl::OkStatus();
}

absl::Status FakeVcpu::WriteX(unsigned index, uint64_t value) {
  RETURN_IF_ERROR(
      Note(absl::StrFormat("x%d = %d", index, static_cast<int64_t>(value))));
  std::lock_guard lock(mutex_);
  x_[index] = value;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FakeVcpu::ReadX(unsigned index) {
  RETURN_IF_ERROR(Failure(absl::StrFormat("get x%d", index)));
  return x[index];
}

absl::StatusOr<uint64_t> FakeVcpu::Read(GuestRegister which) {
  const auto get = [this](absl::string_view name,
                          uint64_t value) -> absl::StatusOr<uint64_t> {
    RETURN_IF_ERROR(Failure(absl::StrCat("get ", name)));
    return value;
  };
  switch (which) {
    case GuestRegister::kPc:
      return get("pc", pc);
    case GuestRegister::kVbarEl1:
      return get("vbar", vbar);
    case GuestRegister::kSctlrEl1:
      return get("sctlr", sctlr);
    case GuestRegister::kTcrEl1:
      return get("tcr", tcr);
    case GuestRegister::kTtbr0El1:
      return get("ttbr0", ttbr0);
    case GuestRegister::kTtbr1El1:
      return get("ttbr1", ttbr1);
  }
  return absl::InternalError("no such register");
}

absl::Status FakeVcpu::WritePc(uint64_t value) {
  return Note(absl::StrFormat("pc = %#x", value));
}

absl::Status FakeVcpu::WatchStores(GuestRange range) {
  return Note(
      absl::StrFormat("watch %#x+%#x", range.base().value(), range.size()));
}

absl::Status FakeVcpu::Step() { return Note("step"); }

absl::Status FakeVcpu::EndDebug() { return Note("end debug"); }

void FakeVcpu::Nudge() {
  if (on_nudge) on_nudge();
  std::lock_guard lock(mutex_);
  nudged_ = !deaf;
  kicked_changed_.notify_all();
}

absl::Status FakeVcpu::Reset() {
  absl::Status status = Note("reset");
  if (on_reset) on_reset();
  return status;
}

absl::Status FakeVcpu::SetEntry(GuestAddress entry, uint64_t x0) {
  return Note(absl::StrFormat("enter %#x %d", entry.value(), x0));
}

absl::Status FakeVcpu::Suspend() { return Note("suspend"); }

absl::Status FakeVcpu::Resume() { return Note("resume"); }

absl::Status FakeVcpu::InjectDataAbort() { return Note("abort"); }

void FakeVcpu::Kick() {
  std::lock_guard lock(mutex_);
  kicked_ = true;
  kicked_changed_.notify_all();
}

}  // namespace vmm
