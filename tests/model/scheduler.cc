// SPDX-License-Identifier: Apache-2.0
#include "tests/model/scheduler.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <unordered_map>

#include "psci-emul/shared_word.h"
#include "tests/model/fiber.h"

namespace model {
namespace {

constexpr size_t kMaxThreads = 8;
constexpr int kNobody = -1;
constexpr size_t kMaxLines = 300;  // Of a trace.

// Thrown through the stack of a thread whose schedule is over.
struct Abandoned {};

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0xff51afd7ed558ccd;
  hash = (hash ^ hash >> 32) * 0xc4ceb9fe1a85ec53;
  return hash ^ hash >> 29;
}

// How much of each thread's past is known to have happened.
using VectorClock = std::array<uint32_t, kMaxThreads>;

void Join(VectorClock& into, const VectorClock& other) {
  for (size_t i = 0; i < kMaxThreads; ++i)
    into[i] = std::max(into[i], other[i]);
}

bool Acquires(std::memory_order order) {
  return order != std::memory_order_relaxed &&
         order != std::memory_order_release;
}

bool Releases(std::memory_order order) {
  return order == std::memory_order_release ||
         order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

// A word that threads share, or a ghost.
struct Cell {
  const char* name;
  unsigned number;  // Of those with this name, from 0.
  uint64_t value;
  // Of an atomic word: what who acquires it knows to have happened.
  VectorClock released = {};
  // Of a value that is not atomic: the last write, and the last read by each.
  bool guarded = false;
  int writer = kNobody;
  uint32_t written = 0;
  VectorClock reads = {};
};

struct Task {
  World::Thread* thread = nullptr;
  bool done = false;
  const char* operation = "";  // The step that it takes next,
  int cell = kNobody;          // and where.
  unsigned alternatives = 1;   // How many outcomes the step has.
  unsigned outcome = 0;        // Which one it is to have.
  bool takes = false;          // `cell`, a lock.
  bool asleep = false;         // On `cell`.
  std::optional<int64_t> deadline_ns;
  // All that it has seen: what it does next depends on nothing else.
  uint64_t history = 0;
  VectorClock clock = {};
};

// What happens next: this thread takes its step. Of one that sleeps, `outcome`
// says whether its deadline passes (0) or its sleep ends early (1).
struct Choice {
  uint8_t task;
  uint8_t outcome;
};

// The name of a cell, in a line of the trace.
struct At {
  int cell;
};

// Says what happens next, `enabled` being what can.
class Chooser {
 public:
  virtual ~Chooser() = default;
  // nullopt: the rest of this schedule is of no interest.
  virtual std::optional<Choice> Next(const std::vector<Choice>& enabled) = 0;
  // No thread can take a step.
  virtual void End() {}
};

class Scheduler {
 public:
  explicit Scheduler(const Limits& limits) : limits_(limits) { active = this; }
  ~Scheduler() { active = nullptr; }
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Runs one schedule. Returns what is wrong with it.
  std::string Run(const MakeWorld& make, uint64_t seed, Chooser& chooser,
                  bool trace);

  uint64_t steps() const { return steps_; }
  const std::vector<Choice>& taken() const { return taken_; }
  const std::vector<std::string>& trace() const { return trace_; }
  uint64_t HashOfState() const;

  // What follows is for the hooks, which call it on the threads' stacks.
  static Scheduler* active;
  bool InThread() const {
    return current_ != kNobody && std::uncaught_exceptions() == 0;
  }
  int AddCell(const char* name, uint64_t value);
  Cell& cell(int index) { return cells_[static_cast<size_t>(index)]; }
  Task& current() { return tasks_[static_cast<size_t>(current_)]; }
  int64_t now_ns() const { return now_ns_; }
  // Suspends the thread until it may take this step.
  void Before(const char* operation, int cell, unsigned alternatives = 1);
  void Saw(uint64_t value) {
    current().history = Mix(current().history, value + 1);
  }
  void Synchronise(int index, std::memory_order order, bool loads, bool stores);
  void Sleep(int index, uint32_t seen, std::optional<int64_t> deadline_ns);
  void Wake(int index);
  void CheckRace(int index, bool writes);
  [[noreturn]] void Fail(std::string wrong);
  // Adds a line to the trace about the step that was just taken: texts, cells
  // and values.
  template <typename... Words>
  void Note(const Words&... words) {
    if (!tracing_) return;
    std::string line = "  " + std::to_string(taken_.size()) + ". " +
                       current().thread->name + ": ";
    (Append(line, words), ...);
    trace_.push_back(std::move(line));
  }
  std::string NameOf(int index) const;

 private:
  struct Stack {
    std::unique_ptr<Fiber> fiber;
    Task* task = nullptr;
    std::function<void()>* body = nullptr;
  };

  static void Append(std::string& line, const char* text) { line += text; }
  static void Append(std::string& line, const std::string& text) {
    line += text;
  }
  static void Append(std::string& line, uint64_t value) {
    line += std::to_string(value);
  }
  void Append(std::string& line, At at) const { line += NameOf(at.cell); }

  void Prepare(const MakeWorld& make, uint64_t seed);
  void Resume(size_t task);
  void Take(const Choice& choice);
  void Abandon();
  std::vector<Choice> Enabled() const;
  std::string WrongAtRest() const;
  uint64_t HashOfRace(const Cell& cell) const;
  uint64_t WhoKnows(int thread, uint32_t time) const;

  const Limits limits_;
  std::unique_ptr<World> world_;
  std::vector<Cell> cells_;
  std::vector<Task> tasks_;
  std::vector<Stack> stacks_;
  int current_ = kNobody;
  size_t last_ = 0;
  int64_t now_ns_ = kFirstNs;
  unsigned early_returns_ = 0;
  bool abandoning_ = false;
  bool tracing_ = false;
  uint64_t steps_ = 0;
  std::vector<Choice> taken_;
  std::string wrong_;
  std::vector<std::string> trace_;
};

Scheduler* Scheduler::active = nullptr;

int Scheduler::AddCell(const char* name, uint64_t value) {
  unsigned number = 0;
  for (const Cell& each : cells_) {
    if (std::strcmp(each.name, name) == 0) ++number;
  }
  cells_.push_back({name, number, value});
  return static_cast<int>(cells_.size()) - 1;
}

std::string Scheduler::NameOf(int index) const {
  const Cell& cell = cells_[static_cast<size_t>(index)];
  return std::string(cell.name) + "[" + std::to_string(cell.number) + "]";
}

void Scheduler::Before(const char* operation, int cell, unsigned alternatives) {
  if (abandoning_) throw Abandoned{};
  Task& task = current();
  task.operation = operation;
  task.cell = cell;
  task.alternatives = alternatives;
  stacks_[static_cast<size_t>(current_)].fiber->Yield();
  if (abandoning_) throw Abandoned{};
  Saw(0);
  ++task.clock[static_cast<size_t>(current_)];
}

void Scheduler::Fail(std::string wrong) {
  if (wrong_.empty()) wrong_ = std::move(wrong);
  throw Abandoned{};
}

void Scheduler::Synchronise(int index, std::memory_order order, bool loads,
                            bool stores) {
  Cell& word = cell(index);
  VectorClock& mine = current().clock;
  if (loads && Acquires(order)) Join(mine, word.released);
  if (!stores) return;
  // A read-modify-write continues what was released before it; a store does
  // not.
  if (!loads) word.released = {};
  if (Releases(order)) Join(word.released, mine);
}

void Scheduler::CheckRace(int index, bool writes) {
  Cell& value = cell(index);
  value.guarded = true;
  const VectorClock& mine = current().clock;
  const auto self = static_cast<size_t>(current_);
  bool races = value.writer != kNobody &&
               mine[static_cast<size_t>(value.writer)] < value.written;
  for (size_t i = 0; writes && i < kMaxThreads; ++i) {
    races = races || mine[i] < value.reads[i];
  }
  if (races) {
    Note(writes ? "writes " : "reads ", At{index});
    Fail("a data race at " + NameOf(index));
  }
  if (writes) {
    value.writer = current_;
    value.written = mine[self];
    value.reads = {};
  } else {
    value.reads[self] = mine[self];
  }
}

void Scheduler::Sleep(int index, uint32_t seen,
                      std::optional<int64_t> deadline_ns) {
  Before("sleep on", index);
  if (cell(index).value != seen) {
    return Note("sleeps on ", At{index}, " while ", uint64_t{seen}, ": it is ",
                cell(index).value);
  }
  if (deadline_ns && *deadline_ns <= now_ns_) {
    return Note("sleeps on ", At{index}, ": the deadline has passed");
  }
  Note("sleeps on ", At{index}, " while ", uint64_t{seen});
  current().asleep = true;
  current().deadline_ns = deadline_ns;
  Before("goes on after its sleep on", index);
  Note("goes on after its sleep on ", At{index});
}

void Scheduler::Wake(int index) {
  Before("wake who sleeps on", index);
  std::string woken;  // For the trace.
  for (Task& task : tasks_) {
    if (!task.asleep || task.cell != index) continue;
    task.asleep = false;
    if (tracing_) woken += " " + task.thread->name;
  }
  Note("wakes who sleeps on ", At{index}, ":", woken);
}

void Scheduler::Prepare(const MakeWorld& make, uint64_t seed) {
  taken_.clear();
  wrong_.clear();
  trace_.clear();
  cells_.clear();
  now_ns_ = kFirstNs;
  early_returns_ = limits_.early_returns;
  last_ = 0;
  world_ = make(seed);
  std::vector<World::Thread>& threads = world_->threads();
  if (threads.size() > kMaxThreads) std::abort();
  tasks_.assign(threads.size(), {});
  while (stacks_.size() < threads.size()) stacks_.emplace_back();
  for (size_t i = 0; i < threads.size(); ++i) {
    tasks_[i].thread = &threads[i];
    Stack& stack = stacks_[i];
    stack.task = &tasks_[i];
    stack.body = &threads[i].body;
    if (stack.fiber) continue;
    stack.fiber = std::make_unique<Fiber>([this, i] {
      for (;;) {
        try {
          (*stacks_[i].body)();
        } catch (const Abandoned&) {
        }
        stacks_[i].task->done = true;
        stacks_[i].task->history = 0;
        stacks_[i].fiber->Yield();
      }
    });
  }
  // What comes before a thread's first step depends on nobody.
  for (size_t i = 0; i < threads.size() && wrong_.empty(); ++i) Resume(i);
}

void Scheduler::Resume(size_t task) {
  current_ = static_cast<int>(task);
  stacks_[task].fiber->Resume();
  current_ = kNobody;
}

std::vector<Choice> Scheduler::Enabled() const {
  std::vector<Choice> enabled;
  // The thread that ran goes on first, so that what is found takes few
  // switches.
  for (size_t i = 0; i < tasks_.size(); ++i) {
    const size_t index = (last_ + i) % tasks_.size();
    const auto number = static_cast<uint8_t>(index);
    const Task& task = tasks_[index];
    if (task.done) continue;
    if (task.takes && cells_[static_cast<size_t>(task.cell)].value != 0) {
      continue;
    }
    if (!task.asleep) {
      for (unsigned k = 0; k < task.alternatives; ++k) {
        enabled.push_back({number, static_cast<uint8_t>(k)});
      }
      continue;
    }
    if (task.deadline_ns && *task.deadline_ns < kNeverNs) {
      enabled.push_back({number, 0});
    }
    if (early_returns_ > 0) enabled.push_back({number, 1});
  }
  return enabled;
}

void Scheduler::Take(const Choice& choice) {
  ++steps_;
  taken_.push_back(choice);
  last_ = choice.task;
  Task& task = tasks_[choice.task];
  task.outcome = choice.outcome;
  if (task.asleep) {
    task.asleep = false;
    if (choice.outcome == 0) {
      now_ns_ = std::max(now_ns_, *task.deadline_ns);
    } else {
      --early_returns_;
    }
  }
  Resume(choice.task);
}

void Scheduler::Abandon() {
  abandoning_ = true;
  tracing_ = false;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    // One that has not run yet ends at its first step.
    if (!tasks_[i].done) Resume(i);
  }
  abandoning_ = false;
  world_.reset();
}

std::string Scheduler::WrongAtRest() const {
  for (const Task& task : tasks_) {
    if (task.done || task.thread->may_sleep) continue;
    return "a lost wake-up: nobody is left to wake " + task.thread->name +
           (task.takes ? ", which waits for " : ", which sleeps on ") +
           NameOf(task.cell);
  }
  const char* const wrong = world_->WrongAtRest();
  return wrong == nullptr ? "" : wrong;
}

std::string Scheduler::Run(const MakeWorld& make, uint64_t seed,
                           Chooser& chooser, bool trace) {
  tracing_ = trace;
  Prepare(make, seed);
  while (wrong_.empty()) {
    const std::vector<Choice> enabled = Enabled();
    if (enabled.empty()) {
      wrong_ = WrongAtRest();
      if (wrong_.empty()) chooser.End();
      break;
    }
    const auto choice = chooser.Next(enabled);
    if (!choice) break;
    Take(*choice);
    if (!wrong_.empty()) break;
    if (const char* const wrong = world_->WrongIn()) wrong_ = wrong;
    if (taken_.size() > limits_.steps) wrong_ = "does not come to rest";
  }
  Abandon();
  return wrong_;
}

// Who knows that `thread` has done what it did at `time`: a bit for each thread
// and for each word by which one can get to know.
uint64_t Scheduler::WhoKnows(int thread, uint32_t time) const {
  const auto index = static_cast<size_t>(thread);
  uint64_t known = 1;
  for (const Task& task : tasks_) {
    known = known << 1 | (task.clock[index] >= time ? 1 : 0);
  }
  uint64_t hash = known;
  for (const Cell& each : cells_) {
    if (each.released[index] < time) continue;
    hash = Mix(hash, static_cast<uint64_t>(&each - cells_.data()));
  }
  return hash;
}

uint64_t Scheduler::HashOfRace(const Cell& cell) const {
  uint64_t hash = 0;
  if (cell.writer != kNobody) {
    hash = Mix(hash, WhoKnows(cell.writer, cell.written));
  }
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (cell.reads[i] == 0) continue;
    hash = Mix(Mix(hash, i), WhoKnows(static_cast<int>(i), cell.reads[i]));
  }
  return hash;
}

// Equal states, equal hashes: what any thread does from here on is the same.
uint64_t Scheduler::HashOfState() const {
  uint64_t hash = static_cast<uint64_t>(now_ns_) + early_returns_;
  for (const Task& task : tasks_) {
    hash = Mix(hash, task.history);
    hash = Mix(hash, (task.done ? 1 : 0) + (task.asleep ? 2 : 0));
  }
  for (const Cell& cell : cells_) {
    hash = Mix(hash, cell.value);
    if (cell.guarded) hash = Mix(hash, HashOfRace(cell));
  }
  return hash;
}

// Depth first, with what was left over at each depth.
class DepthFirst : public Chooser {
 public:
  DepthFirst(const Scheduler& scheduler, bool merges)
      : scheduler_(scheduler), merges_(merges) {}

  std::optional<Choice> Next(const std::vector<Choice>& enabled) override {
    if (depth_ == frames_.size()) {
      const uint64_t state = scheduler_.HashOfState();
      const auto [known, is_new] = states_.emplace(state, 0);
      if (!is_new && merges_) {
        Count(known->second);
        return std::nullopt;
      }
      frames_.push_back({state, enabled});
    }
    const Frame& frame = frames_[depth_++];
    return frame.choices[frame.next];
  }

  void End() override { Count(1); }

  // Turns to the last choice that has alternatives left. Returns whether there
  // is one.
  bool Advance() {
    depth_ = 0;
    while (!frames_.empty()) {
      Frame& last = frames_.back();
      if (++last.next < last.choices.size()) return true;
      const double interleavings = last.interleavings;
      states_[last.state] = interleavings;
      frames_.pop_back();
      if (frames_.empty()) interleavings_ = interleavings;
      Count(interleavings);
    }
    return false;
  }

  uint64_t states() const { return states_.size(); }
  double interleavings() const { return interleavings_; }

 private:
  struct Frame {
    uint64_t state;
    std::vector<Choice> choices;
    size_t next = 0;
    double interleavings = 0;  // That begin here.
  };

  void Count(double interleavings) {
    if (!frames_.empty()) frames_.back().interleavings += interleavings;
  }

  const Scheduler& scheduler_;
  const bool merges_;
  std::unordered_map<uint64_t, double> states_;
  std::vector<Frame> frames_;
  size_t depth_ = 0;
  double interleavings_ = 0;
};

// The same generator on every host.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed, 0x9e3779b97f4a7c15)) {}
  uint64_t Below(uint64_t count) {
    state_ += 0x9e3779b97f4a7c15;
    return (Mix(state_, state_ >> 31) >> 16) % count;
  }

 private:
  uint64_t state_;
};

class AtRandom : public Chooser {
 public:
  explicit AtRandom(uint64_t seed) : random_(seed) {}
  std::optional<Choice> Next(const std::vector<Choice>& enabled) override {
    // Half the time the thread that ran goes on, if it can: it comes first.
    size_t count = enabled.size();
    if (random_.Below(2) == 0) {
      count = 1;
      while (count < enabled.size() && enabled[count].task == enabled[0].task) {
        ++count;
      }
    }
    return enabled[random_.Below(count)];
  }

 private:
  Random random_;
};

// What was chosen before.
class Again : public Chooser {
 public:
  explicit Again(std::vector<Choice> choices) : choices_(std::move(choices)) {}
  std::optional<Choice> Next(const std::vector<Choice>&) override {
    if (next_ == choices_.size()) return std::nullopt;
    return choices_[next_++];
  }

 private:
  const std::vector<Choice> choices_;
  size_t next_ = 0;
};

// Runs what the scheduler has just run once more, to say what happens in it.
void Trace(Scheduler& scheduler, const MakeWorld& make, uint64_t seed,
           Explored& explored) {
  Again again(scheduler.taken());
  scheduler.Run(make, seed, again, /*trace=*/true);
  const std::vector<std::string>& lines = scheduler.trace();
  const size_t first = lines.size() > kMaxLines ? lines.size() - kMaxLines : 0;
  if (first > 0) explored.trace = "  ...\n";
  for (size_t i = first; i < lines.size(); ++i) {
    explored.trace += lines[i] + "\n";
  }
}

}  // namespace

Explored ExploreAll(const MakeWorld& make, const Limits& limits) {
  Scheduler scheduler(limits);
  DepthFirst chooser(scheduler, limits.merges);
  Explored explored;
  do {
    ++explored.schedules;
    explored.wrong = scheduler.Run(make, 0, chooser, /*trace=*/false);
  } while (explored.wrong.empty() && chooser.Advance());
  explored.steps = scheduler.steps();
  explored.states = chooser.states();
  explored.interleavings = chooser.interleavings();
  if (!explored.wrong.empty()) Trace(scheduler, make, 0, explored);
  return explored;
}

Explored WalkAtRandom(const MakeWorld& make, uint64_t first_seed,
                      uint64_t schedules, const Limits& limits) {
  const char* const only = std::getenv("SCHEDULE_SEED");
  if (only != nullptr) first_seed = std::strtoull(only, nullptr, 0);
  Scheduler scheduler(limits);
  Explored explored;
  uint64_t seed = first_seed;
  for (; seed < first_seed + (only ? 1 : schedules); ++seed) {
    ++explored.schedules;
    AtRandom chooser(seed);
    explored.wrong = scheduler.Run(make, seed, chooser, /*trace=*/false);
    if (!explored.wrong.empty()) break;
  }
  explored.steps = scheduler.steps();
  if (explored.wrong.empty() && only == nullptr) return explored;
  Trace(scheduler, make, only ? first_seed : seed, explored);
  if (only != nullptr) std::cout << explored.trace;
  explored.trace += "  again: SCHEDULE_SEED=" + std::to_string(seed) + "\n";
  return explored;
}

void Require(bool right, const char* wrong) {
  if (right) return;
  if (!Scheduler::active->InThread()) std::abort();
  Scheduler::active->Fail(wrong);
}

unsigned Choose(unsigned count) {
  Scheduler& scheduler = *Scheduler::active;
  scheduler.Before("choose", kNobody, count);
  const unsigned chosen = scheduler.current().outcome;
  scheduler.Note("chooses ", uint64_t{chosen});
  scheduler.Saw(chosen);
  return chosen;
}

void Learn(uint64_t value) {
  if (Scheduler::active->InThread()) Scheduler::active->Saw(value);
}

void Here(uint64_t place) { Scheduler::active->current().history = place + 1; }

Lock::Lock() : index_(Scheduler::active->AddCell("lock", 0)) {}

void Lock::Take() {
  Scheduler& scheduler = *Scheduler::active;
  scheduler.current().takes = true;
  scheduler.Before("take", index_);
  scheduler.current().takes = false;
  scheduler.cell(index_).value = 1;
  scheduler.Synchronise(index_, std::memory_order_acquire, true, false);
  scheduler.Note("takes ", At{index_});
}

void Lock::Give() {
  Scheduler& scheduler = *Scheduler::active;
  scheduler.cell(index_).value = 0;
  scheduler.Synchronise(index_, std::memory_order_release, false, true);
  scheduler.Note("gives ", At{index_});
}

Ghost::Ghost(uint64_t value)
    : index_(Scheduler::active->AddCell("ghost", value)), value_(value) {}

Ghost& Ghost::operator=(uint64_t value) {
  value_ = value;
  Scheduler::active->cell(index_).value = value;
  return *this;
}

Ghost::operator uint64_t() const {
  // A thread that looks may do one thing or another because of it.
  if (Scheduler::active->InThread()) Scheduler::active->Saw(value_);
  return value_;
}

}  // namespace model

// What psci_emul_scheduled calls.
namespace psci {

using model::At;
using model::Scheduler;

// Words that are made while no test explores belong to no world.
StepHook::StepHook(const char* name, uint64_t value)
    : index_(Scheduler::active ? Scheduler::active->AddCell(name, value)
                               : model::kNobody) {}

void StepHook::Before(const char* operation) const {
  Scheduler* const scheduler = Scheduler::active;
  if (index_ == model::kNobody || !scheduler->InThread()) return;
  scheduler->Before(operation, index_);
}

void StepHook::Loaded(uint64_t seen, std::memory_order order) const {
  Scheduler* const scheduler = Scheduler::active;
  if (index_ == model::kNobody || !scheduler->InThread()) return;
  scheduler->Saw(seen);
  scheduler->Synchronise(index_, order, true, false);
  scheduler->Note(scheduler->current().operation, " ", At{index_}, ": is ",
                  seen);
}

void StepHook::Stored(uint64_t left, std::memory_order order) const {
  Scheduler* const scheduler = Scheduler::active;
  if (index_ == model::kNobody) return;
  scheduler->cell(index_).value = left;
  if (!scheduler->InThread()) return;
  scheduler->Synchronise(index_, order, false, true);
  scheduler->Note(scheduler->current().operation, " ", At{index_}, ": ", left);
}

void StepHook::Replaced(uint64_t seen, uint64_t left,
                        std::memory_order order) const {
  Scheduler* const scheduler = Scheduler::active;
  if (index_ == model::kNobody) return;
  scheduler->cell(index_).value = left;
  if (!scheduler->InThread()) return;
  scheduler->Saw(seen);
  scheduler->Synchronise(index_, order, true, true);
  scheduler->Note(scheduler->current().operation, " ", At{index_}, ": ", seen,
                  " -> ", left);
}

void StepHook::Read(uint64_t seen) const {
  Scheduler* const scheduler = Scheduler::active;
  if (index_ == model::kNobody || !scheduler->InThread()) return;
  scheduler->Saw(seen);
  scheduler->CheckRace(index_, /*writes=*/false);
  scheduler->Note("reads ", At{index_});
}

void StepHook::Written(uint64_t left) const {
  Scheduler* const scheduler = Scheduler::active;
  if (index_ == model::kNobody) return;
  scheduler->cell(index_).value = left;
  if (!scheduler->InThread()) return;
  scheduler->CheckRace(index_, /*writes=*/true);
  scheduler->Note("writes ", At{index_});
}

void SleepOn(const SharedWord<uint32_t>& word, uint32_t seen,
             std::optional<int64_t> deadline_ns) {
  Scheduler* const scheduler = Scheduler::active;
  if (scheduler == nullptr || !scheduler->InThread()) std::abort();
  scheduler->Sleep(word.hook().index(), seen, deadline_ns);
}

void WakeSleepersOn(const SharedWord<uint32_t>& word) {
  Scheduler* const scheduler = Scheduler::active;
  if (scheduler == nullptr || !scheduler->InThread()) return;
  scheduler->Wake(word.hook().index());
}

int64_t MonotonicNs() {
  Scheduler* const scheduler = Scheduler::active;
  if (scheduler == nullptr) return model::kFirstNs;
  if (scheduler->InThread()) {
    scheduler->Before("clock", model::kNobody);
    scheduler->Saw(static_cast<uint64_t>(scheduler->now_ns()));
    scheduler->Note("looks at the clock: ",
                    static_cast<uint64_t>(scheduler->now_ns()));
  }
  return scheduler->now_ns();
}

}  // namespace psci
