// SPDX-License-Identifier: Apache-2.0
#include "tests/model/psci_model.h"

#include <array>
#include <cstring>

namespace model {
namespace {

using psci::PowerState;

// Whether a thread is between taking its start and leaving for CPU_OFF: it may
// execute guest code, now or without asking anybody.
bool Executes(const Cpu& cpu) {
  switch (cpu.pc) {
    case Pc::kCheck:
    case Pc::kGuest:
    case Pc::kSuspended:
    case Pc::kClaimLoad:
    case Pc::kClaimCas:
    case Pc::kCount:
    case Pc::kWrite:
    case Pc::kPublishLoad:
    case Pc::kPublishCas:
    case Pc::kNotify:
      return true;
    case Pc::kStops:
      return !cpu.flag;
    default:
      return false;
  }
}

// Forgets what a thread in this place has no more use for, so that states
// that differ in nothing are one.
void Enter(Cpu& cpu, Pc pc, bool flag = false) {
  cpu.pc = pc;
  cpu.seen = {};
  cpu.park = false;
  cpu.flag = flag;
  if (pc < Pc::kClaimLoad || pc > Pc::kNotify) cpu.target = 0;
}

// Numbers into a key, each in a base of its own, lowest first: in whole bits
// three CPUs would not fit.
class Packer {
 public:
  void Put(unsigned value, unsigned base) {
    key_ += Key{value} * scale_;
    scale_ *= base;
  }
  Key key() const { return key_; }

 private:
  Key key_ = 0;
  Key scale_ = 1;
};

class Unpacker {
 public:
  explicit Unpacker(Key key) : key_(key) {}
  uint8_t Take(unsigned base) {
    const auto value = static_cast<uint8_t>(key_ % base);
    key_ /= base;
    return value;
  }

 private:
  Key key_;
};

// Off, off and parked, claimed, pending, on; the same with the stopping bit.
constexpr unsigned kWords = 10;

unsigned NumberOf(const Word& word) {
  const auto state = static_cast<unsigned>(word.state);
  return (state == 0 ? word.parked : state + 1) + (word.stopping ? 5 : 0);
}

Word WordOf(unsigned number) {
  const unsigned state = number % 5;
  return {static_cast<PowerState>(state < 2 ? 0 : state - 1), number >= 5,
          state == 1};
}

// The places in which it matters that the door is the park page's.
constexpr std::array kDoorPlaces = {Pc::kClaimLoad, Pc::kClaimCas, Pc::kOffLoad,
                                    Pc::kOffCas};
constexpr unsigned kPcs = static_cast<unsigned>(Pc::kStopped) + 1;
constexpr unsigned kPlaces = kPcs + kDoorPlaces.size();

unsigned PlaceOf(const Cpu& cpu) {
  for (unsigned i = 0; cpu.park && i < kDoorPlaces.size(); ++i) {
    if (cpu.pc == kDoorPlaces[i]) return kPcs + i;
  }
  return static_cast<unsigned>(cpu.pc);
}

constexpr unsigned kNobodyOrCpu = kMaxCpus + 1;
constexpr unsigned kCounts = 8;
constexpr unsigned kStoppers = PsciModel::kController + 1;
constexpr unsigned kStops = 4 * kMaxCpus + 1;

}  // namespace

Key PsciModel::Pack(const State& state) {
  Packer packer;
  for (const Cpu& cpu : state.cpus) {
    packer.Put(PlaceOf(cpu), kPlaces);
    packer.Put(cpu.target, kMaxCpus);
    packer.Put(NumberOf(cpu.seen), kWords);
    packer.Put(cpu.flag ? 1 : 0, 2);
    packer.Put(NumberOf(cpu.word), kWords);
    packer.Put(cpu.next, kNobodyOrCpu);
    packer.Put(cpu.owed, kNobodyOrCpu);
  }
  packer.Put(state.not_off, kCounts);
  packer.Put(state.stopper, kStoppers);
  packer.Put(state.stop, kStops);
  return packer.key();
}

State PsciModel::Unpack(Key key) {
  Unpacker unpacker(key);
  State state;
  for (Cpu& cpu : state.cpus) {
    const unsigned place = unpacker.Take(kPlaces);
    cpu.park = place >= kPcs;
    cpu.pc = cpu.park ? kDoorPlaces[place - kPcs] : static_cast<Pc>(place);
    cpu.target = unpacker.Take(kMaxCpus);
    cpu.seen = WordOf(unpacker.Take(kWords));
    cpu.flag = unpacker.Take(2) != 0;
    cpu.word = WordOf(unpacker.Take(kWords));
    cpu.next = unpacker.Take(kNobodyOrCpu);
    cpu.owed = unpacker.Take(kNobodyOrCpu);
  }
  state.not_off = unpacker.Take(kCounts);
  state.stopper = unpacker.Take(kStoppers);
  state.stop = unpacker.Take(kStops);
  return state;
}

// Builds the successors of one state.
class PsciModel::Emitter {
 public:
  Emitter(std::vector<Step>& steps) : steps_(steps) {}
  void Must(uint8_t actor, const char* what, const State& to,
            uint8_t target = kNobody, const char* wrong = nullptr) {
    steps_.push_back({Pack(to), actor, target, what, true, wrong});
  }
  void May(uint8_t actor, const char* what, const State& to,
           uint8_t target = kNobody, const char* wrong = nullptr) {
    steps_.push_back({Pack(to), actor, target, what, false, wrong});
  }
  static constexpr uint8_t kNobody = 0xff;

 private:
  std::vector<Step>& steps_;
};

// Machine::Start is over: CPU 0 is to start, with a context that counts as its
// own. Its race with the waiters is that of any CPU_ON.
Key PsciModel::Initial() const {
  State state;
  state.cpus[0].word.state = PowerState::kOnPending;
  state.cpus[0].next = 1;
  state.cpus[0].owed = 1;
  state.not_off = 1;
  for (unsigned i = cpus_; i < kMaxCpus; ++i) {
    state.cpus[i].pc = Pc::kStopped;  // CPUs that this machine lacks.
  }
  return Pack(state);
}

void PsciModel::Steps(Key key, std::vector<Step>& steps) const {
  const State state = Unpack(key);
  Emitter emit(steps);
  if (state.stopper == 0) {
    State next = state;
    next.stopper = kController;
    emit.May(kController, "Machine::RequestStop: StopLatch::Set", next);
  } else if (state.stop < StopSteps()) {
    StepOfStop(state, emit);
  }
  for (uint8_t i = 0; i < cpus_; ++i) StepsOf(i, state, emit);
}

// Whoever set the latch: PowerTable::Shutdown, then VcpuThread::Stop for each.
void PsciModel::StepOfStop(const State& state, Emitter& emit) const {
  State next = state;
  const bool in_shutdown = state.stop < 2 * cpus_;
  const auto step =
      static_cast<uint8_t>(in_shutdown ? state.stop : state.stop - 2 * cpus_);
  const auto target = static_cast<uint8_t>(step / 2);
  Cpu& cpu = next.cpus[target];
  const char* what = "";
  if (!in_shutdown) {  // Told and kicked: both follow from `stop`.
    what = step % 2 == 0 ? "VcpuThread::Stop: stopping_ = true"
                         : "VcpuThread::Stop: Kick";
  } else if (step % 2 == 0) {
    what = "Shutdown: word.fetch_or(stopping)";
    cpu.word.stopping = true;
  } else if (bug_ != Bug::kShutdownForgetsNotify) {
    what = "Shutdown: Wake";
    Wake(cpu);
  } else {
    what = "Shutdown: [forgets to wake]";
  }
  const uint8_t actor = state.stopper == kController
                            ? kController
                            : static_cast<uint8_t>(state.stopper - 1);
  if (++next.stop == StopSteps() && actor != kController) {
    Cpu& self = next.cpus[actor];  // RequestStop returns.
    Enter(self, self.flag ? Pc::kStaysLoad : Pc::kCheck);
    next.stopper = kController;  // It no longer matters who.
  }
  emit.Must(actor, what, next, target);
}

void PsciModel::StepsOf(uint8_t self, const State& state, Emitter& emit) const {
  State next = state;
  Cpu& cpu = next.cpus[self];
  switch (cpu.pc) {
    case Pc::kLoad: {  // AwaitBoot: word = slot.word.load
      const bool looks = !(bug_ == Bug::kStopCheckedOnlyOnce && cpu.flag);
      if (looks && cpu.word.stopping) {  // return nullopt
        Enter(cpu, Pc::kStopped);
        return emit.Must(self, "AwaitBoot: loads, stopping: leaves", next);
      }
      if (cpu.word.state == PowerState::kOnPending) {
        Enter(cpu, Pc::kRead);
        return emit.Must(self, "AwaitBoot: loads \"pending\"", next);
      }
      Enter(cpu, Pc::kWait, cpu.flag);
      cpu.seen = cpu.word;
      return emit.Must(self, "AwaitBoot: loads, nothing to do", next);
    }
    case Pc::kWait:  // Wait(slot.word, word): compares and sleeps in one step.
      if (cpu.word == cpu.seen) {
        cpu.pc = Pc::kAsleep;
        return emit.Must(self, "AwaitBoot: Wait: unchanged, sleeps", next);
      }
      Enter(cpu, Pc::kLoad, bug_ == Bug::kStopCheckedOnlyOnce);
      return emit.Must(self, "AwaitBoot: Wait: the word has changed", next);
    case Pc::kAsleep:
      Wake(cpu);
      return emit.May(self, "AwaitBoot: Wait: returns early", next);
    case Pc::kStaysLoad:
    case Pc::kStaysWait:
    case Pc::kStaysAsleep:
      return StepsOfStaysOff(self, state, emit);
    case Pc::kRead: {  // context = slot.next
      const char* wrong = nullptr;
      if (cpu.owed == 0) {
        wrong = "an entry that no CPU_ON asked for";
      } else if (cpu.next != cpu.owed) {
        wrong = "starts with a context that is not the winner's";
      }
      cpu.next = 0;
      Enter(cpu, Pc::kTakeLoad);
      return emit.Must(self, "AwaitBoot: reads its context", next,
                       Emitter::kNobody, wrong);
    }
    case Pc::kTakeLoad:  // Transition(kOnPending, kOn): load
      Enter(cpu, Pc::kTakeCas);
      cpu.seen = cpu.word;
      return emit.Must(self, "AwaitBoot: Transition: load", next,
                       Emitter::kNobody,
                       cpu.word.state == PowerState::kOnPending
                           ? nullptr
                           : "somebody else took a pending start");
    case Pc::kTakeCas:
      if (cpu.word != cpu.seen) {
        cpu.seen = cpu.word;
        return emit.Must(self, "AwaitBoot: CAS pending -> on: again", next);
      }
      cpu.word.state = PowerState::kOn;
      cpu.owed = 0;
      Enter(cpu, Pc::kCheck);  // VcpuThread::Live: SetEntry
      return emit.Must(self, "AwaitBoot: CAS pending -> on", next);
    case Pc::kCheck:  // RunUntilOff: while (!stopping_)
      if (ToldToStop(self, state)) {
        Enter(cpu, Pc::kStopped);
        return emit.Must(self, "RunUntilOff: stopping_: leaves", next);
      }
      Enter(cpu, cpu.flag ? Pc::kSuspended : Pc::kGuest);
      return emit.Must(self, "RunUntilOff: not stopping_: Run", next);
    case Pc::kSuspended:
      Enter(cpu, Pc::kCheck);
      if (Kicked(self, state)) {
        return emit.Must(self, "Run: Interrupted", next);
      }
      return emit.May(self, "Run: Wakeup", next);
    case Pc::kGuest:
      return StepsOfGuest(self, state, emit);
    case Pc::kClaimLoad:
    case Pc::kClaimCas:
    case Pc::kCount:
    case Pc::kWrite:
    case Pc::kPublishLoad:
    case Pc::kPublishCas:
    case Pc::kNotify:
      return StepOfPowerOn(self, state, emit);
    case Pc::kOffLoad:
    case Pc::kOffCas:
    case Pc::kUncount:
    case Pc::kAllOff:
      return StepOfPowerOff(self, state, emit);
    case Pc::kStops:  // StepOfStop moves it on.
    case Pc::kStopped:
      return;
  }
}

// The futex lets go: by a wake-up, or just so.
void PsciModel::Wake(Cpu& cpu) const {
  if (cpu.pc == Pc::kAsleep) {
    Enter(cpu, Pc::kLoad, bug_ == Bug::kStopCheckedOnlyOnce);
  } else if (cpu.pc == Pc::kStaysAsleep) {
    Enter(cpu, Pc::kStaysLoad);
  }
}

// Before a reset that nobody sees, and AwaitBoot. How long is left of the
// deadline is anybody's guess, but it does not grow.
void PsciModel::StepsOfStaysOff(uint8_t self, const State& state,
                                Emitter& emit) const {
  State next = state;
  Cpu& cpu = next.cpus[self];
  switch (cpu.pc) {
    case Pc::kStaysLoad:  // slot.word.load: stopping, or not off: return false
      if (cpu.word.stopping || cpu.word.state != PowerState::kOff) {
        Enter(cpu, Pc::kLoad);
        return emit.Must(self, "StaysOff: loads, no longer off", next);
      }
      Enter(cpu, Pc::kLoad);  // left <= 0: return true
      emit.Must(self, "StaysOff: loads \"off\", time is over", next);
      if (state.cpus[self].flag) return;
      Enter(cpu, Pc::kStaysWait);
      cpu.seen = cpu.word;
      return emit.Must(self, "StaysOff: loads \"off\"", next);
    case Pc::kStaysWait:  // Wait(slot.word, word, &timeout)
      if (cpu.word == cpu.seen) {
        cpu.pc = Pc::kStaysAsleep;
        return emit.Must(self, "StaysOff: Wait: unchanged, sleeps", next);
      }
      Enter(cpu, Pc::kStaysLoad);
      return emit.Must(self, "StaysOff: Wait: the word has changed", next);
    default:  // kStaysAsleep
      Enter(cpu, Pc::kStaysLoad, true);
      emit.Must(self, "StaysOff: Wait: time is over", next);
      Enter(cpu, Pc::kStaysLoad);
      return emit.May(self, "StaysOff: Wait: returns early", next);
  }
}

// The guest decides, and the first step of what it decided is done.
void PsciModel::StepsOfGuest(uint8_t self, const State& state,
                             Emitter& emit) const {
  State next = state;
  Cpu& cpu = next.cpus[self];
  if (Kicked(self, state)) {
    Enter(cpu, Pc::kCheck);
    return emit.Must(self, "Run: Interrupted", next);
  }
  for (uint8_t target = 0; target < cpus_; ++target) {
    next = state;
    if (state.cpus[target].word.stopping) {  // PowerOn: load & kStopping
      Enter(cpu, Pc::kCheck);                // return false
    } else {
      Enter(cpu, bug_ == Bug::kWriteBeforeClaim ? Pc::kWrite : Pc::kClaimLoad);
      cpu.target = target;
    }
    emit.May(self, "CPU_ON", next, target);
    next.cpus[self].park = next.cpus[self].pc == Pc::kClaimLoad;
    if (next.cpus[self].pc != Pc::kWrite) {
      emit.May(self, "release", next, target);  // PowerTable::Release
    }
    // StateOf. What it answers wrong, WrongIn() finds.
    next = state;
    Enter(cpu, Pc::kCheck);
    emit.May(self, "AFFINITY_INFO", next, target);
  }
  next = state;
  Enter(cpu, Pc::kCheck, true);
  emit.May(self, "CPU_SUSPEND", next);

  next = state;  // PowerOff: last = not_off_.fetch_sub(1) == 1
  const char* wrong = nullptr;
  if (bug_ == Bug::kUncountAfterOff) {
    Enter(cpu, Pc::kOffLoad);
  } else {
    Enter(cpu, Pc::kOffLoad, state.not_off == 1);
    if (cpu.flag) wrong = WrongLast(self, state);
    if (state.not_off == 0) wrong = "not_off_ falls below zero";
    next.not_off = (next.not_off - 1) & 7;
  }
  emit.May(self, "CPU_OFF", next, Emitter::kNobody, wrong);
  cpu.park = true;  // PowerOff(self, Door::kPage)
  emit.May(self, "park", next, Emitter::kNobody, wrong);

  next = state;  // RequestStop: latch_.Set
  if (state.stopper != 0) {
    Enter(cpu, Pc::kCheck);
  } else {
    Enter(cpu, Pc::kStops);
    next.stopper = static_cast<uint8_t>(self + 1);
  }
  emit.May(self, "SYSTEM_OFF", next);
}

void PsciModel::StepOfPowerOn(uint8_t self, const State& state,
                              Emitter& emit) const {
  State next = state;
  Cpu& cpu = next.cpus[self];
  const uint8_t target = cpu.target;
  Cpu& slot = next.cpus[target];
  const bool notifies_first = bug_ == Bug::kNotifyBeforePublish;
  const bool minds_door = cpu.park && bug_ != Bug::kReleaseIgnoresTheDoor;
  const bool free =
      slot.word.state == PowerState::kOff && (!minds_door || slot.word.parked);
  switch (cpu.pc) {
    case Pc::kClaimLoad:  // Transition(kOff, kClaimed): load
      if (!free) {
        Enter(cpu, Pc::kCheck);
        return emit.Must(self, "PowerOn: load: not off: ALREADY_ON", next,
                         target);
      }
      cpu.pc = Pc::kClaimCas;
      cpu.seen = slot.word;
      return emit.Must(self, "PowerOn: load: \"off\"", next, target);
    case Pc::kClaimCas: {
      const bool cas = bug_ != Bug::kCheckThenStore;
      if (cas && slot.word != cpu.seen) {
        if (free) {
          cpu.seen = slot.word;
          return emit.Must(self, "PowerOn: CAS off -> claimed: again", next,
                           target);
        }
        Enter(cpu, Pc::kCheck);
        return emit.Must(self, "PowerOn: CAS: not off: ALREADY_ON", next,
                         target);
      }
      const char* wrong =
          slot.owed == 0 ? nullptr : "two winners: two SUCCESS for one start";
      if (cpu.park && !slot.word.parked) {
        wrong = "a release of a CPU that left by CPU_OFF";
      }
      slot.word = {PowerState::kClaimed, cpu.seen.stopping};
      cpu.park = false;
      slot.owed = static_cast<uint8_t>(self + 1);
      cpu.seen = {};
      cpu.pc = bug_ == Bug::kCountAfterPublish ? Pc::kWrite : Pc::kCount;
      return emit.Must(
          self,
          cas ? "PowerOn: CAS off -> claimed" : "PowerOn: [stores] claimed",
          next, target, wrong);
    }
    case Pc::kCount:  // not_off_.fetch_add(1)
      ++next.not_off;
      if (bug_ == Bug::kCountAfterPublish) {
        Enter(cpu, Pc::kCheck);
      } else if (bug_ == Bug::kWriteBeforeClaim) {
        cpu.pc = Pc::kPublishLoad;
      } else {
        cpu.pc = Pc::kWrite;
      }
      return emit.Must(self, "PowerOn: not_off_.fetch_add", next, target);
    case Pc::kWrite:  // slot.next = context
      slot.next = static_cast<uint8_t>(self + 1);
      if (bug_ == Bug::kWriteBeforeClaim) {
        cpu.pc = Pc::kClaimLoad;
      } else {
        cpu.pc = notifies_first ? Pc::kNotify : Pc::kPublishLoad;
      }
      return emit.Must(self, "PowerOn: writes the context", next, target);
    case Pc::kPublishLoad:  // Transition(kClaimed, kOnPending): load
      cpu.pc = Pc::kPublishCas;
      cpu.seen = slot.word;
      return emit.Must(self, "PowerOn: Transition: load", next, target,
                       slot.word.state == PowerState::kClaimed
                           ? nullptr
                           : "somebody else moved a claimed CPU");
    case Pc::kPublishCas:
      if (slot.word != cpu.seen) {
        cpu.seen = slot.word;
        return emit.Must(self, "PowerOn: CAS claimed -> pending: again", next,
                         target);
      }
      slot.word.state = PowerState::kOnPending;
      cpu.seen = {};
      cpu.pc = Pc::kNotify;
      if (notifies_first) Enter(cpu, Pc::kCheck);
      return emit.Must(self, "PowerOn: CAS claimed -> pending", next, target);
    default:  // Wake(slot.word): wakes who sleeps, and nobody else.
      Wake(slot);
      if (notifies_first) {
        cpu.pc = Pc::kPublishLoad;
      } else if (bug_ == Bug::kCountAfterPublish) {
        cpu.pc = Pc::kCount;
      } else {
        Enter(cpu, Pc::kCheck);
      }
      return emit.Must(self, "PowerOn: Wake", next, target);
  }
}

void PsciModel::StepOfPowerOff(uint8_t self, const State& state,
                               Emitter& emit) const {
  State next = state;
  Cpu& cpu = next.cpus[self];
  switch (cpu.pc) {
    case Pc::kOffLoad:  // Transition(kOn, kOff): load
      cpu.pc = Pc::kOffCas;
      cpu.seen = cpu.word;
      return emit.Must(self, "PowerOff: Transition: load", next,
                       Emitter::kNobody,
                       cpu.word.state == PowerState::kOn
                           ? nullptr
                           : "somebody else moved a CPU that is on");
    case Pc::kOffCas:
      if (cpu.word != cpu.seen) {
        cpu.seen = cpu.word;
        return emit.Must(self, "PowerOff: CAS on -> off: again", next);
      }
      cpu.word.state = PowerState::kOff;
      cpu.word.parked = cpu.park;
      if (bug_ == Bug::kUncountAfterOff) {
        Enter(cpu, Pc::kUncount);
      } else {
        Enter(cpu, cpu.flag ? Pc::kAllOff : Pc::kStaysLoad);
      }
      return emit.Must(self, "PowerOff: CAS on -> off", next);
    case Pc::kUncount: {
      const bool last = state.not_off == 1;
      next.not_off = (next.not_off - 1) & 7;
      Enter(cpu, last ? Pc::kAllOff : Pc::kStaysLoad);
      return emit.Must(self, "PowerOff: [late] not_off_.fetch_sub", next,
                       Emitter::kNobody,
                       last ? WrongLast(self, state) : nullptr);
    }
    default:  // kAllOff: VcpuThread::Live: request_stop: latch_.Set
      if (state.stopper != 0) {
        Enter(cpu, Pc::kStaysLoad);
      } else {
        Enter(cpu, Pc::kStops, true);
        next.stopper = static_cast<uint8_t>(self + 1);
      }
      return emit.Must(self, "Live: nobody left: RequestStop", next);
  }
}

// PowerOff returns true: then nobody else may be on or about to start.
const char* PsciModel::WrongLast(uint8_t self, const State& state) const {
  for (uint8_t i = 0; i < cpus_; ++i) {
    if (i == self) continue;
    if (Executes(state.cpus[i]) || state.cpus[i].owed != 0) {
      return "told that all CPUs are off while one is not";
    }
  }
  return nullptr;
}

const char* PsciModel::WrongIn(Key key) const {
  const State state = Unpack(key);
  if (state.not_off > cpus_) return "not_off_ counts more CPUs than there are";
  for (uint8_t i = 0; i < cpus_; ++i) {
    const Cpu& cpu = state.cpus[i];
    if (Executes(cpu) && cpu.word.state != PowerState::kOn) {
      return "AFFINITY_INFO says OFF of a CPU that executes guest code";
    }
    if (cpu.owed != 0 && cpu.word.state != PowerState::kClaimed &&
        cpu.word.state != PowerState::kOnPending) {
      return "AFFINITY_INFO says OFF after CPU_ON won";
    }
    bool somebody_notifies = state.stopper != 0 && !NotifiedByStop(i, state) &&
                             bug_ != Bug::kShutdownForgetsNotify;
    unsigned touch_context = cpu.pc == Pc::kRead ? 1 : 0;
    for (uint8_t j = 0; j < cpus_; ++j) {
      const Cpu& caller = state.cpus[j];
      if (caller.target != i) continue;
      somebody_notifies = somebody_notifies || caller.pc == Pc::kNotify;
      if (caller.pc == Pc::kWrite) ++touch_context;
    }
    if (touch_context > 1) return "two threads at one context: a data race";
    const bool asleep = cpu.pc == Pc::kAsleep || cpu.pc == Pc::kStaysAsleep;
    if (asleep && !somebody_notifies) {
      if (cpu.word.stopping) return "lost wake-up: sleeps through a stop";
      if (cpu.word.state == PowerState::kOnPending) {
        return "lost wake-up: sleeps through a start";
      }
    }
  }
  return nullptr;
}

const char* PsciModel::WrongAtRest(Key key) const {
  const State state = Unpack(key);
  unsigned on = 0;
  for (uint8_t i = 0; i < cpus_; ++i) {
    const Cpu& cpu = state.cpus[i];
    if (state.stopper != 0) {
      if (cpu.pc != Pc::kStopped) return "a stop that does not reach a thread";
      continue;
    }
    if (cpu.owed != 0) return "SUCCESS without a start";
    if (cpu.pc == Pc::kGuest || cpu.pc == Pc::kSuspended) {
      ++on;
    } else if (cpu.pc != Pc::kAsleep || cpu.word.state != PowerState::kOff) {
      return "deadlock";
    }
  }
  if (state.stopper != 0) return nullptr;
  if (on == 0) return "all CPUs are off and nobody was told";
  if (on != state.not_off) return "not_off_ is not how many CPUs are on";
  return nullptr;
}

std::string PsciModel::Describe(const Step& step) const {
  std::string line = step.actor == kController
                         ? "main: "
                         : "cpu" + std::to_string(step.actor) + ": ";
  line += step.what;
  if (step.target != Emitter::kNobody) {
    line += " (cpu" + std::to_string(step.target) + ")";
  }
  return line;
}

Key PsciModel::Advance(Key key, uint8_t actor) const {
  std::vector<Step> steps;
  Steps(key, steps);
  for (const Step& step : steps) {
    if (step.must && step.actor == actor) return step.to;
  }
  return key;
}

Key PsciModel::Settle(Key key, uint8_t actor) const {
  for (;;) {
    const Key next = Advance(key, actor);
    if (next == key) return key;
    key = next;
  }
}

Key PsciModel::Decide(Key key, uint8_t actor, const char* what,
                      uint8_t target) const {
  std::vector<Step> steps;
  Steps(key, steps);
  for (const Step& step : steps) {
    if (step.must || step.actor != actor || strcmp(step.what, what) != 0) {
      continue;
    }
    if (step.target == target || step.target == Emitter::kNobody) {
      return step.to;
    }
  }
  return ~Key{0};
}

}  // namespace model
