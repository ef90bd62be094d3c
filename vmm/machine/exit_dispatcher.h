// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_EXIT_DISPATCHER_H_
#define PARKVMM_VMM_MACHINE_EXIT_DISPATCHER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "psci-emul/dispatcher.h"
#include "vmm/base/clock.h"
#include "vmm/devices/mmio_bus.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vcpu_exit.h"
#include "vmm/machine/stop.h"
#include "vmm/measure/event_ring.h"
#include "vmm/park/parking.h"

namespace vmm {

// What the run loop does next.
enum class NextStep {
  kResume,
  kTurnOff,     // CPU_OFF: leave the guest, wait for whoever starts it.
  kParkPage,    // The same, by way of a park page,
  kParkDevice,  // or of the park device.
  kStop,        // The whole machine; stop_reason() says why.
};

// What a guest did that no guest should; answered, counted, never fatal.
struct GuestMistakes {
  uint64_t unowned_accesses = 0;  // MMIO that no device owns.
  uint64_t first_unowned = 0;     // Where a CPU's first one was, if any.
  uint64_t undecodable = 0;       // The same, without a syndrome.
  uint64_t unknown_calls = 0;     // PSCI functions we do not implement.

  GuestMistakes& operator+=(const GuestMistakes& other) {
    if (unowned_accesses == 0) first_unowned = other.first_unowned;
    unowned_accesses += other.unowned_accesses;
    undecodable += other.undecodable;
    unknown_calls += other.unknown_calls;
    return *this;
  }
};

// Turns one vCPU's exits into next steps: the only place where PSCI's decision
// and the vCPU meet. On the vCPU's own thread. An error means that the VMM
// cannot go on, not that the guest misbehaved.
class ExitDispatcher {
 public:
  ExitDispatcher(uint32_t self, const MmioBus& bus, psci::Dispatcher& psci,
                 Parking& parking, const Clock& clock, EventRing& events)
      : self_(self),
        bus_(bus),
        psci_(psci),
        parking_(parking),
        clock_(clock),
        events_(events) {}

  absl::StatusOr<NextStep> Dispatch(const VcpuExit& exit, Vcpu& vcpu);

  // After kStop.
  const StopReason& stop_reason() const { return stop_reason_; }
  const GuestMistakes& mistakes() const { return mistakes_; }

 private:
  absl::StatusOr<NextStep> On(const MmioRead& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const MmioWrite& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const Hypercall& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const Interrupted& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const Wakeup& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const SystemEvent& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const NoSyndrome& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const StoreRefused& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const DebugStop& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> OnGuardedStore(const VcpuExit& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const EntryFailed& exit, Vcpu& vcpu);
  absl::StatusOr<NextStep> On(const Unhandled& exit, Vcpu& vcpu);

  void NoteUnowned(GuestAddress address);
  NextStep StopFor(StopReason reason);
  // The same for what the guest asked for, with an event.
  NextStep StopFor(StopReason reason, Event::Kind kind);

  const uint32_t self_;
  const MmioBus& bus_;
  psci::Dispatcher& psci_;
  Parking& parking_;
  const Clock& clock_;
  EventRing& events_;
  StopReason stop_reason_;
  GuestMistakes mistakes_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_EXIT_DISPATCHER_H_
