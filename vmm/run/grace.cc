// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/grace.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

constexpr int64_t kHaltNs = 1'000'000'000;

}  // namespace

void Grace::NotePanic(int64_t stamp_ns) {
  if (watch_.panic().empty()) {
    panicked_at_.reset();
  } else if (!panicked_at_) {
    panicked_at_ = stamp_ns;
  }
}

std::optional<int64_t> Grace::End() const {
  if (!watch_.panic().empty()) return life_ns_ + panic_ns_;
  if (watch_.halted()) return life_ns_ + kHaltNs;
  return std::nullopt;
}

std::optional<Kind> Grace::Over(int64_t now_ns) const {
  const std::optional<int64_t> end = End();
  if (!end || now_ns <= *end) return std::nullopt;
  return watch_.panic().empty() ? Kind::kHalted : Kind::kPanicked;
}

std::string Grace::Panic(Kind end, int64_t now_ns) const {
  const bool outlived =
      !watch_.panic_ended() &&
      (end == Kind::kPowerOff || (end == Kind::kTimeout && !Over(now_ns)));
  return outlived ? "" : watch_.panic();
}

}  // namespace vmm
