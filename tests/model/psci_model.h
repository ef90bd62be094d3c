// SPDX-License-Identifier: Apache-2.0
// psci-emul's PowerTable and the loop of the vCPUs' threads, as a model whose
// every interleaving can be explored.
//
// One step here is one access to memory that threads share there; what a
// thread does on its own between two of them belongs to the second. Each step
// of psci_model.cc names the function and the line that it stands for. The
// memory is sequentially consistent: what weaker orders would add is for
// TSan to see (power_table_test, machine_stop_test).
#ifndef PARKVMM_TESTS_MODEL_PSCI_MODEL_H_
#define PARKVMM_TESTS_MODEL_PSCI_MODEL_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "psci-emul/power_state.h"
#include "tests/model/explore.h"

namespace model {

constexpr unsigned kMaxCpus = 3;

// What may be wrong with the code that is modelled.
enum class Bug : uint8_t {
  kNone,
  kCheckThenStore,         // PowerOn checks "off", then stores "claimed".
  kNotifyBeforePublish,    // PowerOn wakes before the word says "pending".
  kShutdownForgetsNotify,  // Shutdown sets the bits and wakes nobody.
  kStopCheckedOnlyOnce,    // AwaitBoot looks at the bit before its loop only.
  kUncountAfterOff,        // PowerOff counts down after the word says "off".
  kCountAfterPublish,      // PowerOn counts up after the word says "pending".
  kWriteBeforeClaim,       // PowerOn writes the context before it has won.
  kReleaseIgnoresTheDoor,  // Release starts whoever is off.
};

// Where a vCPU's thread is: what it does next.
enum class Pc : uint8_t {
  // PowerTable::AwaitBoot
  kLoad,
  kWait,
  kAsleep,  // In the futex; only a notify leads out.
  kRead,
  kTakeLoad,
  kTakeCas,
  // PowerTable::StaysOff
  kStaysLoad,
  kStaysWait,
  kStaysAsleep,  // Its deadline leads out, too.
  // VcpuThread::RunUntilOff
  kCheck,
  kGuest,
  kSuspended,
  // PowerTable::PowerOn
  kClaimLoad,
  kClaimCas,
  kCount,
  kWrite,
  kPublishLoad,
  kPublishCas,
  kNotify,
  // PowerTable::PowerOff, VcpuThread::Live
  kOffLoad,
  kOffCas,
  kUncount,  // Only where that is the bug; else part of the guest's CPU_OFF.
  kAllOff,
  // Machine::RequestStop, as the one who stops the machine
  kStops,
  kStopped,
};

struct Word {
  psci::PowerState state = psci::PowerState::kOff;
  bool stopping = false;
  bool parked = false;  // Off, and left by the park page's door.
  friend bool operator==(const Word&, const Word&) = default;
};

struct Cpu {
  Pc pc = Pc::kLoad;
  uint8_t target = 0;  // Of the PowerOn that it is in.
  Word seen;           // The local `word` of AwaitBoot and Transition.
  bool park = false;   // kOff*: by the park page; kClaim*: Release.
  bool flag = false;   // kCheck: suspended; kOff*: last; kStops: is parking;
                       // kLoad: has slept (where that makes a difference);
                       // kStaysLoad: its time is over.
  // Its slot in the table.
  Word word;
  uint8_t next = 0;  // The context: 1 + who wrote it; 0: used up or never.
  // Ghost: 1 + the CPU whose CPU_ON won and has not led to a start yet.
  uint8_t owed = 0;
};

struct State {
  std::array<Cpu, kMaxCpus> cpus;
  uint8_t not_off = 0;
  uint8_t stopper = 0;  // 0: no stop; 1 + CPU; kController.
  uint8_t stop = 0;     // How many steps of RequestStop are done.
};

class PsciModel {
 public:
  static constexpr uint8_t kController = 4;

  PsciModel(unsigned cpus, Bug bug) : cpus_(cpus), bug_(bug) {}

  static Key Pack(const State& state);
  static State Unpack(Key key);

  // What the Explorer asks for.
  Key Initial() const;
  void Steps(Key key, std::vector<Step>& steps) const;
  const char* WrongIn(Key key) const;
  const char* WrongAtRest(Key key) const;
  std::string Describe(const Step& step) const;

  // `actor` takes the step that it must take next; `key` if there is none.
  Key Advance(Key key, uint8_t actor) const;
  // Follows `actor` alone from `key` until it has only decisions left.
  Key Settle(Key key, uint8_t actor) const;
  // Takes the decision `what` of `actor`; ~0 if there is none such.
  Key Decide(Key key, uint8_t actor, const char* what, uint8_t target) const;

 private:
  class Emitter;
  void StepsOf(uint8_t self, const State& state, Emitter& emit) const;
  void StepsOfStaysOff(uint8_t self, const State& state, Emitter& emit) const;
  void Wake(Cpu& cpu) const;
  void StepsOfGuest(uint8_t self, const State& state, Emitter& emit) const;
  void StepOfPowerOn(uint8_t self, const State& state, Emitter& emit) const;
  void StepOfPowerOff(uint8_t self, const State& state, Emitter& emit) const;
  void StepOfStop(const State& state, Emitter& emit) const;
  const char* WrongLast(uint8_t self, const State& state) const;

  // RequestStop's steps: for each CPU the bit and a notify, then for each CPU
  // stopping_ and a kick.
  uint8_t StopSteps() const { return static_cast<uint8_t>(4 * cpus_); }
  bool NotifiedByStop(uint8_t cpu, const State& state) const {
    return state.stopper != 0 && state.stop > 2 * cpu + 1;
  }
  bool ToldToStop(uint8_t cpu, const State& state) const {
    return state.stopper != 0 && state.stop > 2 * cpus_ + 2 * cpu;
  }
  bool Kicked(uint8_t cpu, const State& state) const {
    return state.stopper != 0 && state.stop > 2 * cpus_ + 2 * cpu + 1;
  }

  const unsigned cpus_;
  const Bug bug_;
};

}  // namespace model

#endif  // PARKVMM_TESTS_MODEL_PSCI_MODEL_H_
