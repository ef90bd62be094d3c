// SPDX-License-Identifier: Apache-2.0
// Runs threads of the real psci-emul (psci_emul_scheduled, its sources built
// with PSCI_EMUL_SCHEDULED) one step at a time, in an order that is chosen and
// can be repeated.
//
// A step is one access to a shared word, one sleep, one wake-up, or one look at
// the clock; what a thread does on its own afterwards belongs to the step.
// Nothing runs in parallel: the threads are fibers of one host thread.
//
// Beside what a World checks, these are found in every schedule: a thread that
// sleeps when nobody is left to wake it, one that does not get done within the
// limit of steps, and a value that is accessed without a happens-before edge to
// the access before it. Edges are those that the memory orders in the code make
// and no others; the values themselves are sequentially consistent.
#ifndef PARKVMM_TESTS_MODEL_SCHEDULER_H_
#define PARKVMM_TESTS_MODEL_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace model {

// A deadline, or a duration, that never passes.
constexpr int64_t kNeverNs = 1'000'000'000'000'000'000;
// What the clock shows at first. It goes on only when a deadline passes.
constexpr int64_t kFirstNs = 1'000'000;

// What the threads of a test share, with the threads: made anew for each
// schedule, always in the same way. Making it takes no steps.
class World {
 public:
  struct Thread {
    std::string name;
    std::function<void()> body;
    bool may_sleep = false;  // Whether it may still sleep at the end.
  };

  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  virtual ~World() = default;

  // Returns what is wrong, if anything, in the state after any step.
  virtual const char* WrongIn() const { return nullptr; }
  // Likewise, once no thread can take a step.
  virtual const char* WrongAtRest() const { return nullptr; }

  std::vector<Thread>& threads() { return threads_; }

 protected:
  void Spawn(std::string name, std::function<void()> body) {
    threads_.push_back({std::move(name), std::move(body), false});
  }
  // Likewise; the thread need not be done at the end.
  void SpawnSleeper(std::string name, std::function<void()> body) {
    threads_.push_back({std::move(name), std::move(body), true});
  }

 private:
  std::vector<Thread> threads_;
};

// --- Called by the threads of a World ----------------------------------------

// Ends the schedule as one that is wrong, unless `right`.
void Require(bool right, const char* wrong);
// Returns a number below `count`: all of them are explored.
unsigned Choose(unsigned count);

// Called with what the thread has learned otherwise than from words, ghosts and
// choices, and what it does next may depend on.
void Learn(uint64_t value);
// Called where all that the thread will do depends on `place` and on nothing
// that it remembers: its earlier steps make no difference any more.
void Here(uint64_t place);

// A word of the test's own, of which the code knows nothing: no access is a
// step. What threads remember of a schedule for WrongIn() and WrongAtRest()
// must be in ghosts, or states that differ would be taken for one.
class Ghost {
 public:
  explicit Ghost(uint64_t value = 0);
  Ghost(const Ghost&) = delete;
  Ghost& operator=(uint64_t value);
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator uint64_t() const;

 private:
  const int index_;
  uint64_t value_;
};

// A lock of the test's own. Taking it is a step, which a thread can take once
// nobody has it; giving it back is part of the step before.
class Lock {
 public:
  Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  void Take();
  void Give();

 private:
  const int index_;
};

// --- Called by tests ---------------------------------------------------------

// What was explored, and what was found.
struct Explored {
  uint64_t schedules = 0;  // How often the world was run.
  uint64_t steps = 0;      // Steps taken in all of these.
  uint64_t states = 0;     // Different states, if all were explored.
  // Complete orders of steps that these states stand for.
  double interleavings = 0;
  std::string wrong;  // Empty: nothing is.
  // The schedule that is wrong, a line for each step, and how to run it again.
  std::string trace;
};

struct Limits {
  uint64_t steps = 2000;  // Of one schedule.
  // How many sleeps of one schedule may end although nobody has woken them.
  unsigned early_returns = 0;
  // Whether orders that lead to one state are taken for one from there on.
  bool merges = true;
};

// `seed` is the schedule's, for worlds that are random themselves.
using MakeWorld = std::function<std::unique_ptr<World>(uint64_t seed)>;

// Explores every order of steps, as far as they lead to different states: depth
// first, by running the world anew up to the last choice that has alternatives.
// `make` is given 0.
Explored ExploreAll(const MakeWorld& make, const Limits& limits = {});
// Runs `schedules` random ones with the seeds from `first_seed` on.
//
// SCHEDULE_SEED=n in the environment: runs that one only and prints its steps.
Explored WalkAtRandom(const MakeWorld& make, uint64_t first_seed,
                      uint64_t schedules, const Limits& limits = {});

}  // namespace model

#endif  // PARKVMM_TESTS_MODEL_SCHEDULER_H_
