// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_VCPU_THREAD_H_
#define PARKVMM_VMM_MACHINE_VCPU_THREAD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "psci-emul/firmware_model.h"
#include "psci-emul/power_table.h"
#include "vmm/base/mutex.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/machine/exit_dispatcher.h"
#include "vmm/machine/stop.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {

// Where a vCPU was when the machine stopped.
struct VcpuPostMortem {
  psci::PowerState state = psci::PowerState::kOff;
  psci::Door door = psci::Door::kCpuOff;  // By which it went off.
  std::optional<uint64_t> pc;             // Of a CPU that was on.
  uint64_t vectors = 0;                   // Its VBAR_EL1; 0: not known.
};

// Owns one vCPU and the only thread that enters it.
//
//   AwaitBoot -> SetEntry -> { Run -> Dispatch }* -> PowerOff -> ...
//
// The wait and the start are the same whatever the door. Firmware latency is
// spent before a CPU_ON start (the CPU stays pending) and before a CPU_OFF
// completes (the CPU stays on).
//
// A CPU that is off is parked: its thread sleeps in AwaitBoot. Once no CPU has
// left for a moment, the thread puts the reset registers in place, so that
// CPU_ON costs two register writes and a wake-up.
class VcpuThread {
 public:
  struct Deps {  // What all vCPUs share; outlives them.
    psci::PowerTable& power;
    psci::Dispatcher& psci;
    const MmioBus& bus;
    Parking& parking;
    const Clock& clock;
    std::function<void(StopReason)> request_stop;  // Any thread.
    // Whether KVM answers PSCI: then all vCPUs enter it at once, and KVM holds
    // those that are off.
    bool kvm_psci = false;
    psci::Firmware* firmware = nullptr;  // nullptr: takes no time.
    const Sandbox* sandbox = nullptr;    // nullptr: they are not confined.
  };

  VcpuThread(psci::VcpuId id, std::unique_ptr<Vcpu> vcpu, const Deps& deps,
             EventRing& events);
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;
  // Stops and joins. The power table must have been shut down.
  ~VcpuThread();

  void Start();
  // Any thread: no guest instruction after the one that is executing. Takes no
  // lock.
  void Stop();
  // Any thread: out of the guest, and in again.
  void Nudge() { vcpu_->Nudge(); }
  // Any thread but this one: out of the guest, and where was it? nullopt if it
  // does not answer soon, being off or stopped.
  std::optional<Whereabouts> Ask();
  // Any thread, after Start(): the host's CPU time that the vCPU has used.
  int64_t HostCpuNs() const;
  void Join();

  // After Join().
  const VcpuPostMortem& post_mortem() const { return post_mortem_; }
  const GuestMistakes& mistakes() const { return dispatcher_.mistakes(); }

 private:
  void Main();
  absl::Status Confine();
  absl::Status Live();
  // By which door the vCPU left; nullopt if the machine stops.
  absl::StatusOr<std::optional<psci::Door>> RunUntilOff();
  absl::Status Answer();
  // What firmware takes, having taken it, in ns: 0 if none is modelled, or if
  // it has no part in this. nullopt if the machine stops.
  std::optional<int64_t> SpendOn();
  std::optional<int64_t> SpendOff(psci::Door door);
  std::optional<int64_t> Spend(psci::Transition transition);
  // While it is off: true once its registers may be reset, false if it has
  // been turned on or the machine stops.
  bool Settles() const;
  void StopsWhileOn();
  void Record(Event::Kind kind, const psci::BootContext& context,
              int64_t firmware_ns);

  const psci::VcpuId id_;
  const std::unique_ptr<Vcpu> vcpu_;
  const Deps& deps_;
  EventRing& events_;
  ExitDispatcher dispatcher_;
  std::atomic<bool> stopping_ = false;
  Mutex asking_;  // One at a time. Taken before answer_mutex_.
  std::atomic<bool> asked_ = false;
  Mutex answer_mutex_ ABSL_ACQUIRED_AFTER(asking_);
  CondVar answered_;
  std::optional<Whereabouts> answer_ ABSL_GUARDED_BY(answer_mutex_);
  VcpuPostMortem post_mortem_;
  std::thread thread_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_VCPU_THREAD_H_
