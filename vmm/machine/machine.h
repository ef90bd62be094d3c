// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_MACHINE_H_
#define PARKVMM_VMM_MACHINE_MACHINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "psci-emul/dispatcher.h"
#include "psci-emul/firmware_model.h"
#include "psci-emul/park_slots.h"
#include "psci-emul/power_table.h"
#include "vmm/base/clock.h"
#include "vmm/base/guest_address.h"
#include "vmm/boot/park_placement.h"
#include "vmm/devices/mmio_bus.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/console_buffer.h"
#include "vmm/machine/device_list.h"
#include "vmm/machine/machine_control.h"
#include "vmm/machine/machine_spec.h"
#include "vmm/machine/plan.h"
#include "vmm/machine/stop.h"
#include "vmm/machine/vcpu_thread.h"
#include "vmm/measure/event_log.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/park/diagnosis_log.h"
#include "vmm/park/parking.h"

namespace vmm {

// One virtual machine from its creation to its end.
class Machine : public MachineControl {
 public:
  using OpenVm =
      std::function<absl::StatusOr<std::unique_ptr<Vm>>(const VmSpec&)>;

  // Builds the machine that `plan` describes and loads what `spec` holds into
  // it; `plan` is Plan(spec). `open_vm` lets tests bring a VM of their own.
  //
  // kFailedPrecondition: this host cannot run it. Other errors are the VMM's.
  static absl::StatusOr<std::unique_ptr<Machine>> Create(
      const MachineSpec& spec, MachinePlan plan,
      const OpenVm& open_vm = OpenKvm);
  // Plans and builds; for tests. Errors as Plan()'s, too.
  static absl::StatusOr<std::unique_ptr<Machine>> Create(
      const MachineSpec& spec, const OpenVm& open_vm);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() override;

  void Start() override;
  void RequestStop(StopReason reason) override;
  int stop_fd() const override { return latch_.fd(); }
  std::optional<StopReason> stop_reason() const override {
    return latch_.reason();
  }
  void Join() override;

  ConsoleBuffer& console() override { return console_.output; }
  size_t SendInput(absl::Span<const uint8_t> bytes) override;
  ConsoleBuffer* link() override { return link_ ? &link_->output : nullptr; }
  size_t SendToLink(absl::Span<const uint8_t> bytes) override;
  int alarm_fd() const override { return alarm_->alarm.fd(); }
  void RingAlarm() override;
  EventLog& events() override { return *events_; }
  bool Inspect() override { return parking_->Inspect(); }
  int64_t Now() const override { return clock_.Now(); }

  absl::StatusOr<GuestDigests> Digests() const override;
  const std::vector<uint64_t>& mpidrs() const override { return mpidrs_; }
  GicVersion gic() const override { return vm_->gic(); }
  const std::vector<uint8_t>& dtb() const override { return dtb_; }
  const std::optional<ParkPlacement>& park() const override {
    return plan_.park;
  }
  std::vector<Diagnosis> Diagnoses() const override { return diagnoses_.All(); }
  std::vector<VcpuPostMortem> PostMortem() const override;
  GuestMistakes Mistakes() const override;
  std::optional<SpinTotals> Spinning() const override {
    return parking_->Spinning();
  }

 private:
  explicit Machine(MachinePlan plan) : plan_(std::move(plan)) {}
  absl::Status Build(const MachineSpec& spec, const OpenVm& open_vm);
  absl::Status CreateDevices();
  void SetSpi(uint32_t spi, bool level);
  absl::StatusOr<std::unique_ptr<Parking>> CreateParking(
      const MachineSpec& spec);
  // Returns JudgeParkEntry() of the plan.
  psci::JudgeEntry JudgeEntry() const;
  absl::Status LoadGuest(const MachineSpec& spec);
  absl::StatusOr<absl::Span<const uint8_t>> BytesOf(GuestRange loaded) const;
  void CreateThreads(std::vector<std::unique_ptr<Vcpu>> vcpus,
                     const MachineSpec& spec);

  // Construction order; what is below uses what is above. Threads come last:
  // they are joined first.
  const MachinePlan plan_;
  Clock clock_;
  StopLatch latch_;
  SerialLine console_;
  std::optional<SerialLine> link_;
  std::optional<AlarmLine> alarm_;
  std::optional<GuestMemory> memory_;
  std::unique_ptr<Vm> vm_;
  std::vector<uint64_t> mpidrs_;
  std::vector<uint8_t> dtb_;
  uint64_t kernel_bytes_ = 0;
  std::unique_ptr<EventLog> events_;
  std::unique_ptr<psci::PowerTable> power_;
  std::unique_ptr<psci::Dispatcher> psci_;
  std::unique_ptr<psci::Firmware> firmware_;
  DiagnosisLog diagnoses_;
  std::unique_ptr<psci::ParkSlots> park_slots_;
  std::vector<std::unique_ptr<MmioDevice>> devices_;  // In the plan's order.
  MmioBus bus_;
  std::unique_ptr<Parking> parking_;
  psci::BootContext boot_;
  std::unique_ptr<VcpuThread::Deps> shared_;
  std::vector<std::unique_ptr<VcpuThread>> threads_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_MACHINE_H_
