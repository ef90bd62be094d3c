// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/step_tracker.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "vmm/devices/mark_abi.h"

namespace vmm {
namespace {

constexpr uint16_t CpuOf(uint64_t value) {
  return static_cast<uint16_t>(value);
}
constexpr uint16_t NumberOf(uint64_t value) {
  return static_cast<uint16_t>(value >> 16);
}

}  // namespace

void StepTracker::Begin() {
  open_.clear();
  down_.clear();
  up_.clear();
}

void StepTracker::Enter(int64_t ns, uint64_t value) {
  std::vector<Open>& open = open_[CpuOf(value)];
  if (open.size() < kMaxOpen) open.push_back({NumberOf(value), ns});
}

void StepTracker::Exit(int64_t ns, uint64_t value, bool up) {
  std::vector<Open>& open = open_[CpuOf(value)];
  if (open.empty() || open.back().number != NumberOf(value)) return;
  const Open step = open.back();
  open.pop_back();
  const int64_t lasted = ns - step.begin;
  if (!open.empty()) open.back().within += lasted;
  if (down_.size() + up_.size() >= kMaxSteps) return;
  (up ? up_ : down_)[{CpuOf(value), step.number}] += lasted - step.within;
}

void StepTracker::AddName(uint64_t value) {
  const auto number = static_cast<uint16_t>(value);
  if (names_.size() >= kMaxNames && !names_.contains(number)) return;
  std::string& name = names_[number];
  for (int i = 0; i < MARK_STEP_NAME_CHARS; ++i) {
    const auto c = static_cast<unsigned char>(value >> (16 + 8 * i));
    if (c == 0 || name.size() == kMaxNameChars) break;
    name.push_back(absl::ascii_isprint(c) ? static_cast<char>(c) : '?');
  }
}

std::string StepTracker::NameOf(uint16_t number) const {
  const auto found = names_.find(number);
  return found == names_.end() ? absl::StrCat("step ", number) : found->second;
}

StepTimes StepTracker::Named(const std::map<Key, int64_t>& own) const {
  StepTimes times;
  for (const auto& [key, ns] : own) {
    times[key.first][NameOf(key.second)] += ns;
  }
  return times;
}

std::optional<Steps> StepTracker::Ended() const {
  if (down_.empty() && up_.empty()) return std::nullopt;
  return Steps{.down = Named(down_), .up = Named(up_)};
}

}  // namespace vmm
