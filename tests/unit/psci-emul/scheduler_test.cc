// SPDX-License-Identifier: Apache-2.0
// The scheduler finds what it is to find: each kind of mistake, made small.
#include "tests/model/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>

#include "psci-emul/shared_word.h"
#include "tests/model/power_world.h"

namespace model {
namespace {

using psci::GuardedValue;
using psci::SharedWord;
using psci::SleepOn;
using psci::WakeSleepersOn;
using testing::HasSubstr;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

template <typename W>
Explored All() {
  return ExploreAll(
      [](uint64_t) -> std::unique_ptr<World> { return std::make_unique<W>(); });
}

// Two threads of two steps each.
struct Counting : World {
  Counting() {
    for (const char* name : {"a", "b"}) {
      Spawn(name, [this] {
        word.fetch_add(1, kRelaxed);
        word.fetch_add(1, kRelaxed);
      });
    }
  }
  SharedWord<uint32_t> word{"word", 0};
};

TEST(SchedulerTest, ExploresEveryInterleavingOnce) {
  const Explored explored = All<Counting>();
  EXPECT_EQ(explored.wrong, "");
  EXPECT_EQ(explored.interleavings, 6);
}

// Reads, then writes: an update is lost if both read first.
struct LostUpdate : World {
  LostUpdate() {
    for (const char* name : {"a", "b"}) {
      Spawn(name, [this] {
        const uint32_t seen = word.load(kRelaxed);
        word.store(seen + 1, kRelaxed);
      });
    }
  }
  const char* WrongAtRest() const override {
    return word.load(kRelaxed) == 2 ? nullptr : "an update is lost";
  }
  SharedWord<uint32_t> word{"word", 0};
};

TEST(SchedulerTest, FindsALostUpdateAndTellsItStepByStep) {
  const Explored explored = All<LostUpdate>();
  EXPECT_EQ(explored.wrong, "an update is lost");
  EXPECT_EQ(explored.trace,
            "  1. a: load word[0]: is 0\n"
            "  2. b: load word[0]: is 0\n"
            "  3. b: store word[0]: 1\n"
            "  4. a: store word[0]: 1\n");
}

TEST(SchedulerTest, ARandomWalkIsTheSameAgain) {
  const MakeWorld make = [](uint64_t) -> std::unique_ptr<World> {
    return std::make_unique<LostUpdate>();
  };
  const Explored first = WalkAtRandom(make, 1, 1000);
  ASSERT_EQ(first.wrong, "an update is lost");
  const uint64_t seed = first.schedules;
  EXPECT_THAT(first.trace, HasSubstr("SCHEDULE_SEED=" + std::to_string(seed)));
  EXPECT_EQ(WalkAtRandom(make, seed, 1).trace, first.trace);
}

template <bool kWakes>
struct Sleeping : World {
  Sleeping() {
    Spawn("sleeper", [this] {
      while (word.load(kAcquire) == 0) SleepOn(word, 0);
    });
    Spawn("waker", [this] {
      word.store(1, kRelease);
      if (kWakes) WakeSleepersOn(word);
    });
  }
  SharedWord<uint32_t> word{"word", 0};
};

TEST(SchedulerTest, FindsALostWakeUp) {
  EXPECT_EQ(All<Sleeping<true>>().wrong, "");
  EXPECT_EQ(All<Sleeping<false>>().wrong,
            "a lost wake-up: nobody is left to wake sleeper, which sleeps on "
            "word[0]");
}

// Sleeps once, whatever it finds then.
template <bool kLooksAgain>
struct Early : World {
  Early() {
    SpawnSleeper("sleeper", [this] {
      do {
        SleepOn(word, 0);
      } while (kLooksAgain && word.load(kAcquire) == 0);
      Require(word.load(kAcquire) == 1, "went on without a reason");
    });
  }
  SharedWord<uint32_t> word{"word", 0};
};

TEST(SchedulerTest, SleepsMayEndEarly) {
  const auto explore = [](const MakeWorld& make) {
    return ExploreAll(make, {.early_returns = 2}).wrong;
  };
  EXPECT_EQ(All<Early<false>>().wrong, "");
  EXPECT_EQ(explore([](uint64_t) { return std::make_unique<Early<true>>(); }),
            "");
  EXPECT_EQ(explore([](uint64_t) { return std::make_unique<Early<false>>(); }),
            "went on without a reason");
}

// The order of the store is what gives the value away.
template <std::memory_order kOrder>
struct Publishing : World {
  Publishing() {
    Spawn("writer", [this] {
      value.Set(7);
      word.store(1, kOrder);
    });
    Spawn("reader", [this] {
      if (word.load(kAcquire) == 1) Require(value.Get() == 7, "not published");
    });
  }
  SharedWord<uint32_t> word{"word", 0};
  GuardedValue<uint64_t> value{"value", 0};
};

TEST(SchedulerTest, FindsADataRaceThatOnlyAMemoryOrderMakes) {
  EXPECT_EQ(All<Publishing<kRelease>>().wrong, "");
  EXPECT_EQ(All<Publishing<kRelaxed>>().wrong, "a data race at value[0]");
}

struct Spinning : World {
  Spinning() {
    Spawn("spinner", [this] {
      while (word.load(kAcquire) == 0) continue;
    });
  }
  SharedWord<uint32_t> word{"word", 0};
};

TEST(SchedulerTest, FindsWhoDoesNotComeToRest) {
  EXPECT_EQ(All<Spinning>().wrong, "does not come to rest");
}

// The clock goes on when a deadline passes, and only then.
struct Waiting : World {
  Waiting() {
    Spawn("a", [this] { Wait(kFirstNs + 10); });
    Spawn("b", [this] { Wait(kFirstNs + 20); });
    SpawnSleeper("c", [this] { Wait(kNeverNs); });
  }
  void Wait(int64_t until) {
    while (psci::MonotonicNs() < until) SleepOn(word, 0, until);
  }
  const char* WrongIn() const override {
    const int64_t now = psci::MonotonicNs() - kFirstNs;
    return now == 0 || now == 10 || now == 20 ? nullptr : "no such time";
  }
  SharedWord<uint32_t> word{"word", 0};
};

TEST(SchedulerTest, DeadlinesPassInAnyOrderUnlessTheyAreForEver) {
  const Explored explored = All<Waiting>();
  EXPECT_EQ(explored.wrong, "") << explored.trace;
}

// Two locks, taken in one order or in two.
template <bool kOneOrder>
struct Locking : World {
  Locking() {
    Spawn("a", [this] { TakeBoth(first, second); });
    Spawn("b", [this] {
      kOneOrder ? TakeBoth(first, second) : TakeBoth(second, first);
    });
  }
  void TakeBoth(Lock& one, Lock& other) {
    one.Take();
    other.Take();
    value.Set(value.Get() + 1);
    other.Give();
    one.Give();
  }
  const char* WrongAtRest() const override {
    return value.Get() == 2 ? nullptr : "two had one lock";
  }
  Lock first, second;
  GuardedValue<uint64_t> value{"value", 0};
};

TEST(SchedulerTest, FindsADeadlock) {
  EXPECT_EQ(All<Locking<true>>().wrong, "");
  EXPECT_EQ(All<Locking<false>>().wrong,
            "a lost wake-up: nobody is left to wake a, which waits for "
            "lock[1]");
}

// What is counted by states is what there is.
template <typename W>
void ExpectStatesStandForAllOrders() {
  const MakeWorld make = [](uint64_t) -> std::unique_ptr<World> {
    return std::make_unique<W>();
  };
  const Explored merged = ExploreAll(make);
  const Explored all = ExploreAll(make, {.merges = false});
  ASSERT_EQ(merged.wrong, "") << merged.trace;
  ASSERT_EQ(all.wrong, "") << all.trace;
  EXPECT_EQ(merged.interleavings, static_cast<double>(all.schedules));
  EXPECT_EQ(merged.states, all.states);
  std::cout << all.schedules << " schedules, or " << merged.schedules << "\n";
}

// One CPU leaves, or does not, and another one calls CPU_ON of it: real code.
struct StartsOnce : PowerWorld {
  StartsOnce() : PowerWorld(2, 2) {
    SpawnSleeper("target", [this] {
      if (Choose(2) == 0) Off(psci::VcpuId{1}, psci::Door::kPage);
      Boot(psci::VcpuId{1});
    });
    Spawn("caller", [this] { CpuOn(psci::VcpuId{1}, 10); });
  }
};

TEST(SchedulerTest, StatesStandForAllOrders) {
  ExpectStatesStandForAllOrders<Counting>();
  ExpectStatesStandForAllOrders<Sleeping<true>>();
  ExpectStatesStandForAllOrders<Locking<true>>();
  ExpectStatesStandForAllOrders<Waiting>();
  ExpectStatesStandForAllOrders<StartsOnce>();
}

struct Choosing : World {
  Choosing() {
    Spawn("a", [this] { chosen = Choose(3) * 3; });
    Spawn("b", [this] {
      const unsigned more = Choose(3);
      chosen = chosen + more;
    });
  }
  const char* WrongAtRest() const override {
    return chosen != 5 ? nullptr : "three and two";
  }
  Ghost chosen;
};

TEST(SchedulerTest, ExploresWhatThreadsChoose) {
  EXPECT_EQ(All<Choosing>().wrong, "three and two");
}

}  // namespace
}  // namespace model
