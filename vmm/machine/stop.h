// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_STOP_H_
#define PARKVMM_VMM_MACHINE_STOP_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "vmm/base/mutex.h"
#include "vmm/base/unique_fd.h"

namespace vmm {

// Why a machine stopped.
struct StopReason {
  enum class Kind {
    kPowerOff,   // The guest called SYSTEM_OFF.
    kReset,      // The guest called SYSTEM_RESET or SYSTEM_RESET2.
    kVerdict,    // The guest wrote a verdict: `code`, `value`.
    kAllOff,     // Every CPU turned itself off: nobody can call CPU_ON.
    kStuck,      // A vCPU can go no further; `detail` says why.
    kPanicked,   // The guest panicked and hangs.
    kHalted,     // The guest's kernel halted, and is silent since.
    kTimeout,    // `detail` says what was waited for.
    kInterrupt,  // The user: a signal, or ctrl-a x.
    kHostError,  // The host ran out of something; `detail` says what.
    kVmmError,   // Our fault; `detail` says what.
  };
  // The guest ended on purpose.
  bool IsGoodEnd() const {
    return kind == Kind::kPowerOff || kind == Kind::kHalted ||
           kind == Kind::kVerdict;
  }

  Kind kind = Kind::kVmmError;
  std::string detail;
  uint32_t vcpu = 0;  // Who, where it was a vCPU.
  // kReset: SYSTEM_RESET2's; kVerdict: the mark device's.
  bool reset2 = false;
  uint64_t code = 0;
  uint64_t value = 0;
};

// Returns why a machine stops that cannot go on for `error`, which is no
// guest's: kHostError if the host has too little of something, else kVmmError.
StopReason StopReasonOf(const absl::Status& error, uint32_t vcpu = 0);

// The first reason wins; the others came because of it.
class StopLatch {
 public:
  StopLatch();

  // Any thread. true for the first.
  bool Set(StopReason reason);
  std::optional<StopReason> reason() const;
  // Readable once a reason is set. For poll().
  int fd() const { return event_.get(); }

 private:
  UniqueFd event_;
  mutable Mutex mutex_;
  std::optional<StopReason> reason_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_STOP_H_
