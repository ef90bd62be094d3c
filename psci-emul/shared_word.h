// SPDX-License-Identifier: Apache-2.0
// The memory that threads of psci-emul share, and how they wait for it.
//
// Tests build the same sources with PSCI_EMUL_SCHEDULED. There, each access is
// a step at which tests/model/scheduler.h may let another thread run. Without
// it, the classes are a std::atomic and a plain value, and cost what these do.
#ifndef PARKVMM_PSCI_EMUL_SHARED_WORD_H_
#define PARKVMM_PSCI_EMUL_SHARED_WORD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace psci {

#ifdef PSCI_EMUL_SCHEDULED

// What the scheduler knows of one word. tests/model/scheduler.cc defines it.
class StepHook {
 public:
  static constexpr bool kScheduled = true;

  StepHook(const char* name, uint64_t value);
  StepHook(const StepHook&) = delete;
  StepHook& operator=(const StepHook&) = delete;

  // Called before a step: the scheduler may run other threads first.
  void Before(const char* operation) const;
  // Called after a step, with what it saw in the word and what it left there.
  void Loaded(uint64_t seen, std::memory_order order) const;
  void Stored(uint64_t left, std::memory_order order) const;
  void Replaced(uint64_t seen, uint64_t left, std::memory_order order) const;
  // Likewise, for values that are not atomic; they are given as hashes.
  void Read(uint64_t seen) const;
  void Written(uint64_t left) const;

  int index() const { return index_; }

 private:
  const int index_;
};

#else

// Nothing is to be known, and nothing is done.
class StepHook {
 public:
  static constexpr bool kScheduled = false;

  constexpr StepHook(const char*, uint64_t) {}
  constexpr void Before(const char*) const {}
  constexpr void Loaded(uint64_t, std::memory_order) const {}
  constexpr void Stored(uint64_t, std::memory_order) const {}
  constexpr void Replaced(uint64_t, uint64_t, std::memory_order) const {}
  constexpr void Read(uint64_t) const {}
  constexpr void Written(uint64_t) const {}
};

#endif

// A number that threads share: std::atomic, with a name that tests print.
template <typename T>
class SharedWord {
  static_assert(std::is_integral_v<T>);

 public:
  // `name` lives for ever.
  SharedWord(const char* name, T value)
      : word_(value), hook_(name, Bits(value)) {}

  T load(std::memory_order order) const {
    hook_.Before("load");
    const T seen = word_.load(order);
    hook_.Loaded(Bits(seen), order);
    return seen;
  }
  void store(T value, std::memory_order order) {
    hook_.Before("store");
    word_.store(value, order);
    hook_.Stored(Bits(value), order);
  }
  T fetch_add(T amount, std::memory_order order) {
    hook_.Before("fetch_add");
    const T seen = word_.fetch_add(amount, order);
    hook_.Replaced(Bits(seen), Bits(static_cast<T>(seen + amount)), order);
    return seen;
  }
  T fetch_sub(T amount, std::memory_order order) {
    hook_.Before("fetch_sub");
    const T seen = word_.fetch_sub(amount, order);
    hook_.Replaced(Bits(seen), Bits(static_cast<T>(seen - amount)), order);
    return seen;
  }
  T fetch_or(T bits, std::memory_order order) {
    hook_.Before("fetch_or");
    const T seen = word_.fetch_or(bits, order);
    hook_.Replaced(Bits(seen), Bits(static_cast<T>(seen | bits)), order);
    return seen;
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure) {
    hook_.Before("compare_exchange");
    bool done = false;
    if constexpr (StepHook::kScheduled) {  // The same outcome on every host.
      done = word_.compare_exchange_strong(expected, desired, success, failure);
    } else {
      done = word_.compare_exchange_weak(expected, desired, success, failure);
    }
    if (done) {
      hook_.Replaced(Bits(expected), Bits(desired), success);
    } else {
      hook_.Loaded(Bits(expected), failure);
    }
    return done;
  }

  const StepHook& hook() const { return hook_; }

 private:
  static constexpr uint64_t Bits(T value) {
    return static_cast<uint64_t>(static_cast<std::make_unsigned_t<T>>(value));
  }

  std::atomic<T> word_;
  [[no_unique_address]] StepHook hook_;
};

// A value that the state of some word gives to one thread at a time.
template <typename T>
class GuardedValue {
  static_assert(std::has_unique_object_representations_v<T>);

 public:
  GuardedValue(const char* name, T value)
      : value_(value), hook_(name, HashOf(value)) {}

  T Get() const {
    hook_.Before("read");
    hook_.Read(HashOf(value_));
    return value_;
  }
  void Set(T value) {
    hook_.Before("write");
    value_ = value;
    hook_.Written(HashOf(value));
  }

 private:
  static uint64_t HashOf(const T& value) {
    uint64_t hash = 0;
    if constexpr (StepHook::kScheduled) {
      for (size_t i = 0; i < sizeof(T); ++i) {
        hash = (hash ^ reinterpret_cast<const uint8_t*>(&value)[i]) *
               uint64_t{0x100000001b3};
      }
    }
    return hash;
  }

  T value_;
  [[no_unique_address]] StepHook hook_;
};

// Sleeps unless `word` is no longer what was `seen` there. Returns once the
// word's sleepers are woken or CLOCK_MONOTONIC has reached `deadline_ns`, now
// and then earlier.
void SleepOn(const SharedWord<uint32_t>& word, uint32_t seen,
             std::optional<int64_t> deadline_ns = std::nullopt);
// Wakes all who sleep on `word`.
void WakeSleepersOn(const SharedWord<uint32_t>& word);
// Returns CLOCK_MONOTONIC in ns.
int64_t MonotonicNs();

}  // namespace psci

#endif  // PARKVMM_PSCI_EMUL_SHARED_WORD_H_
