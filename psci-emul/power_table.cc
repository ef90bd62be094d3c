// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/power_table.h"

#include <cassert>
#include <utility>

namespace psci {
namespace {

// A word: the state, the door of a CPU that is off, and the stopping bit.
constexpr uint32_t kStateMask = 0x3;
constexpr unsigned kDoorShift = 2;
constexpr uint32_t kStopping = 1u << 31;

constexpr PowerState StateIn(uint32_t word) {
  return static_cast<PowerState>(word & kStateMask);
}

constexpr uint32_t WordOf(PowerState state, Door door) {
  return static_cast<uint32_t>(state) | static_cast<uint32_t>(door)
                                            << kDoorShift;
}

}  // namespace

PowerTable::PowerTable(std::vector<Mpidr> topology)
    : topology_(std::move(topology)),
      slots_(std::make_unique<Slot[]>(topology_.size())) {
  by_mpidr_.reserve(topology_.size());
  for (uint32_t i = 0; i < size(); ++i) {
    const bool inserted = by_mpidr_.emplace(topology_[i], VcpuId{i}).second;
    assert(inserted);
    static_cast<void>(inserted);
  }
}

std::optional<VcpuId> PowerTable::Find(Mpidr mpidr) const {
  // Where KVM puts the CPU of this affinity: a guess, looked at before it is
  // believed, that spares a hypercall the hashing.
  const auto value = static_cast<uint64_t>(mpidr);
  const uint64_t guess = (value & 0xf) | (value >> 8 & 0xff) << 4;
  if (guess < topology_.size() && topology_[guess] == mpidr) {
    return VcpuId{static_cast<uint32_t>(guess)};
  }
  const auto found = by_mpidr_.find(mpidr);
  if (found == by_mpidr_.end()) return std::nullopt;
  return found->second;
}

PowerState PowerTable::StateOf(VcpuId vcpu) const {
  return StateIn(slots_[Index(vcpu)].word.load(std::memory_order_seq_cst));
}

bool PowerTable::IsParked(VcpuId vcpu, Door door) const {
  const uint32_t word =
      slots_[Index(vcpu)].word.load(std::memory_order_acquire);
  return (word & ~kStopping) == WordOf(PowerState::kOff, door);
}

bool PowerTable::Transition(Slot& slot, Place from, Place to,
                            bool door_counts) {
  assert(IsLegal(from.state, to.state));
  uint32_t word = slot.word.load(std::memory_order_relaxed);
  while (
      StateIn(word) == from.state &&
      (!door_counts || (word & ~kStopping) == WordOf(from.state, from.door))) {
    if (slot.word.compare_exchange_weak(
            word, WordOf(to.state, to.door) | (word & kStopping),
            std::memory_order_seq_cst, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

bool PowerTable::Start(VcpuId target, Place from, By by, BootContext context) {
  Slot& slot = slots_[Index(target)];
  if ((slot.word.load(std::memory_order_relaxed) & kStopping) != 0) {
    return false;
  }
  if (!Transition(slot, from, {PowerState::kClaimed},
                  /*door_counts=*/by == By::kRelease)) {
    return false;
  }
  not_off_.fetch_add(1, std::memory_order_relaxed);
  slot.next.Set(context);
  slot.by.Set(by);
  Transition(slot, {PowerState::kClaimed}, {PowerState::kOnPending});
  WakeSleepersOn(slot.word);
  return true;
}

bool PowerTable::PowerOn(VcpuId target, BootContext context) {
  return Start(target, {PowerState::kOff}, By::kCpuOn, context);
}

bool PowerTable::Release(VcpuId target, Door door, BootContext context) {
  return Start(target, {PowerState::kOff, door}, By::kRelease, context);
}

bool PowerTable::PowerOff(VcpuId self, Door door) {
  // Counted before it can be seen as off: whoever sees it off and turns it on
  // again must not find it still counted.
  const bool last = not_off_.fetch_sub(1, std::memory_order_relaxed) == 1;
  last_off_ns_.store(MonotonicNs(), std::memory_order_relaxed);
  Transition(slots_[Index(self)], {PowerState::kOn}, {PowerState::kOff, door});
  return last;
}

std::optional<BootContext> PowerTable::AwaitBoot(VcpuId self) {
  if (!AwaitStart(self)) return std::nullopt;
  Slot& slot = slots_[Index(self)];
  const BootContext context = slot.next.Get();
  Transition(slot, {PowerState::kOnPending}, {PowerState::kOn});
  return context;
}

std::optional<PowerTable::By> PowerTable::AwaitStart(VcpuId self) {
  const Slot& slot = slots_[Index(self)];
  for (;;) {
    const uint32_t word = slot.word.load(std::memory_order_acquire);
    if ((word & kStopping) != 0) return std::nullopt;
    if (StateIn(word) == PowerState::kOnPending) return slot.by.Get();
    SleepOn(slot.word, word);
  }
}

bool PowerTable::StaysOff(VcpuId self, std::chrono::nanoseconds how_long) {
  const Slot& slot = slots_[Index(self)];
  const int64_t end = MonotonicNs() + how_long.count();
  for (;;) {
    const uint32_t word = slot.word.load(std::memory_order_acquire);
    if ((word & kStopping) != 0 || StateIn(word) != PowerState::kOff) {
      return false;
    }
    if (MonotonicNs() >= end) return true;
    SleepOn(slot.word, word, end);
  }
}

bool PowerTable::SleepUntil(VcpuId self, int64_t monotonic_ns) {
  const Slot& slot = slots_[Index(self)];
  for (;;) {
    const uint32_t word = slot.word.load(std::memory_order_acquire);
    if ((word & kStopping) != 0) return false;
    if (MonotonicNs() >= monotonic_ns) return true;
    SleepOn(slot.word, word, monotonic_ns);
  }
}

void PowerTable::Shutdown() {
  for (uint32_t i = 0; i < size(); ++i) {
    slots_[i].word.fetch_or(kStopping, std::memory_order_acq_rel);
    WakeSleepersOn(slots_[i].word);
  }
}

}  // namespace psci
