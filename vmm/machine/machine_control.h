// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_MACHINE_CONTROL_H_
#define PARKVMM_VMM_MACHINE_MACHINE_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vmm/boot/park_placement.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/console_buffer.h"
#include "vmm/machine/exit_dispatcher.h"
#include "vmm/machine/stop.h"
#include "vmm/machine/vcpu_thread.h"
#include "vmm/measure/event_log.h"
#include "vmm/park/diagnosis_log.h"
#include "vmm/park/parking.h"

namespace vmm {

// What a machine starts with, by content: digests as Sha256() says them.
struct GuestDigests {
  std::string kernel;                         // Unpacked.
  std::optional<std::string> kernel_release;  // Its own name: LinuxRelease().
  std::optional<std::string> initrd;
  std::string dtb;
};

// A virtual machine as whoever runs it sees it: Machine, or a test's. One
// thread calls its methods; any thread may call RequestStop().
class MachineControl {
 public:
  virtual ~MachineControl() = default;

  // Before Start(), while guest RAM holds what was loaded; docs/costs.md says
  // how long it takes. kOutOfRange if that is not in RAM.
  virtual absl::StatusOr<GuestDigests> Digests() const = 0;
  virtual void Start() = 0;
  // Any thread. The first reason stands; all vCPUs leave the guest at once.
  virtual void RequestStop(StopReason reason) = 0;
  // Readable once a stop was requested. For poll().
  virtual int stop_fd() const = 0;
  virtual std::optional<StopReason> stop_reason() const = 0;
  // After a stop was requested: waits for every vCPU's thread.
  virtual void Join() = 0;

  virtual ConsoleBuffer& console() = 0;
  // Sends to the guest's UART; returns how many bytes it took.
  virtual size_t SendInput(absl::Span<const uint8_t> bytes) = 0;
  // The same for the link to a command; nullptr, and nothing, if the machine
  // has none.
  virtual ConsoleBuffer* link() = 0;
  virtual size_t SendToLink(absl::Span<const uint8_t> bytes) = 0;
  // Readable once the alarm of the guest's real-time clock is due; RingAlarm()
  // then tells the clock. For poll().
  virtual int alarm_fd() const = 0;
  virtual void RingAlarm() = 0;
  virtual EventLog& events() = 0;
  // Looks at what has no event of its own. Now and then, and for as long as it
  // returns true: there is something that may change without an event.
  virtual bool Inspect() = 0;
  // The clock of the events' stamps, in nanoseconds.
  virtual int64_t Now() const = 0;

  virtual const std::vector<uint64_t>& mpidrs() const = 0;
  virtual GicVersion gic() const = 0;
  virtual const std::vector<uint8_t>& dtb() const = 0;
  // nullopt without park pages.
  virtual const std::optional<ParkPlacement>& park() const = 0;
  virtual std::vector<Diagnosis> Diagnoses() const = 0;
  // After Join().
  virtual std::vector<VcpuPostMortem> PostMortem() const = 0;
  virtual GuestMistakes Mistakes() const = 0;
  // nullopt unless CPUs park in the guest's own loop.
  virtual std::optional<SpinTotals> Spinning() const = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_MACHINE_CONTROL_H_
