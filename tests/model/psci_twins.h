// SPDX-License-Identifier: Apache-2.0
// The real PowerTable and Dispatcher beside the model that psci_model_test
// explores: each call is made of both, and both have to agree.
#ifndef PARKVMM_TESTS_MODEL_PSCI_TWINS_H_
#define PARKVMM_TESTS_MODEL_PSCI_TWINS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "psci-emul/dispatcher.h"
#include "psci-emul/power_table.h"
#include "tests/model/psci_model.h"

namespace model {

// What somebody does next: a guest's CPU by a call, a thread, or the user.
enum class Deed : uint8_t {
  kOn,
  kRelease,
  kBoot,  // The target's thread gets to run.
  kOff,
  kPark,
  kAffinity,
  kSuspend,
  kBadTarget,
  kBadEntry,
  kStop,
  kTell,  // The stop gets as far as the threads that run.
  kCount,
};

// The table, the model, and the contexts, which the model does not carry. One
// thread: what would sleep is not called.
class PsciTwins {
 public:
  static constexpr uint8_t kCpus = kMaxCpus;
  // Called with what the two do not agree on. It does not return.
  using OnWrong = std::function<void(const std::string&)>;

  explicit PsciTwins(OnWrong on_wrong);

  // `caller` and `target` are CPUs; `detail` is what the rest is made of.
  void Do(Deed deed, uint8_t caller, uint8_t target, uint32_t detail);

 private:
  static constexpr uint8_t kController = PsciModel::kController;

  State Now() const { return PsciModel::Unpack(key_); }
  void Require(bool agreed, const char* what) const {
    if (!agreed) on_wrong_(what);
  }
  bool InGuest(uint8_t cpu);
  void Decide(uint8_t actor, const char* what, uint8_t target = 0);
  psci::Status CallOn(uint64_t mpidr, uint64_t entry, uint32_t detail);
  void On(Deed deed, uint8_t caller, uint8_t target, uint32_t detail);
  void Boot(uint8_t cpu);
  void Off(Deed deed, uint8_t caller);
  void Affinity(uint8_t caller, uint8_t target, uint32_t detail);
  void Suspends(uint8_t caller, uint32_t detail);
  void Stop();

  const OnWrong on_wrong_;
  psci::PowerTable table_;
  psci::Dispatcher dispatcher_;
  const PsciModel model_;
  Key key_;
  std::array<psci::BootContext, kCpus> contexts_;
};

}  // namespace model

#endif  // PARKVMM_TESTS_MODEL_PSCI_TWINS_H_
