// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine.h"

#include <utility>

#include "psci-emul/park_abi.h"
#include "vmm/base/sha256.h"
#include "vmm/base/status_macros.h"
#include "vmm/boot/linux_release.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/memory_map.h"
#include "vmm/machine/guest_tree.h"
#include "vmm/park/guest_parking.h"
#include "vmm/park/host_parking.h"

namespace vmm {
namespace {

VmSpec VmSpecOf(const MachineSpec& spec, const MachinePlan& plan) {
  return {.vcpus = spec.vcpus,
          .psci = spec.psci,
          .last_address = plan.last_address,
          .gic_distributor = plan.gic_distributor,
          .gic_cpu = plan.gic_cpu_interface,
          .gic_redistributors = plan.gic_redistributors.front(),
          .gic_redistributors_high = kGicV3HighRedistributors,
          .spis = kSpis};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Machine>> Machine::Create(
    const MachineSpec& spec, MachinePlan plan, const OpenVm& open_vm) {
  std::unique_ptr<Machine> machine(new Machine(std::move(plan)));
  RETURN_IF_ERROR(machine->Build(spec, open_vm));
  return machine;
}

absl::StatusOr<std::unique_ptr<Machine>> Machine::Create(
    const MachineSpec& spec, const OpenVm& open_vm) {
  ASSIGN_OR_RETURN(MachinePlan plan, Plan(spec));
  return Create(spec, std::move(plan), open_vm);
}

absl::Status Machine::Build(const MachineSpec& spec, const OpenVm& open_vm) {
  const GuestRange ram = plan_.ram;
  ASSIGN_OR_RETURN(vm_, open_vm(VmSpecOf(spec, plan_)));
  ASSIGN_OR_RETURN(GuestMemory memory, GuestMemory::Map(ram));
  memory_.emplace(std::move(memory));
  RETURN_IF_ERROR(vm_->AddRam(ram, memory_->host_base()));
  ASSIGN_OR_RETURN(auto vcpus, vm_->CreateVcpus());
  std::vector<psci::Mpidr> topology;
  for (const auto& vcpu : vcpus) {
    topology.push_back(psci::AffinityOf(vcpu->mpidr()));
    mpidrs_.push_back(static_cast<uint64_t>(topology.back()));
  }
  events_ = std::make_unique<EventLog>(mpidrs_);
  power_ = std::make_unique<psci::PowerTable>(std::move(topology));
  psci_ = std::make_unique<psci::Dispatcher>(*power_, [ram](uint64_t address) {
    return ram.Contains(GuestAddress(address));
  });
  if (spec.park == ParkMode::kHost) {
    park_slots_ = std::make_unique<psci::ParkSlots>(*power_, JudgeEntry());
  }
  if (spec.command_link) link_.emplace(ConsoleBuffer::Wake::kByByte);
  ASSIGN_OR_RETURN(Alarm alarm, Alarm::Create());
  alarm_.emplace(AlarmLine{.alarm = std::move(alarm)});
  RETURN_IF_ERROR(CreateDevices());
  ASSIGN_OR_RETURN(parking_, CreateParking(spec));
  RETURN_IF_ERROR(LoadGuest(spec));
  CreateThreads(std::move(vcpus), spec);
  return absl::OkStatus();
}

absl::Status Machine::CreateDevices() {
  for (const PlacedDevice& placed : plan_.devices) {
    devices_.push_back(placed.make(
        {.console = console_,
         .link = link_ ? &*link_ : nullptr,
         .alarm = *alarm_,
         .events = *events_,
         .clock = clock_,
         .request_stop =
             [this](StopReason reason) { RequestStop(std::move(reason)); },
         .set_interrupt =
             [this, spi = placed.spi](bool level) {
               if (spi) SetSpi(*spi, level);
             },
         .base = placed.registers.base(),
         .park_slots = park_slots_.get(),
         .diagnoses = diagnoses_}));
    RETURN_IF_ERROR(bus_.Attach(placed.registers, *devices_.back()));
  }
  return absl::OkStatus();
}

void Machine::SetSpi(uint32_t spi, bool level) {
  const absl::Status set = vm_->SetSpi(spi, level);
  if (!set.ok()) RequestStop(StopReasonOf(set));
}

absl::StatusOr<std::unique_ptr<Parking>> Machine::CreateParking(
    const MachineSpec& spec) {
  const RunningVcpus vcpus = {
      .nudge = [this](uint32_t vcpu) { threads_[vcpu]->Nudge(); },
      .ask = [this](uint32_t vcpu) { return threads_[vcpu]->Ask(); },
      .host_cpu_ns =
          [this](uint32_t vcpu) { return threads_[vcpu]->HostCpuNs(); }};
  switch (spec.park) {
    case ParkMode::kOff:
      return std::make_unique<NoParking>();
    case ParkMode::kGuest:
      return GuestParking::Create(
          *plan_.park,
          {.memory = *memory_,
           .power = *power_,
           .judge = JudgeEntry(),
           .diagnoses = diagnoses_,
           .events = events_->observers_ring(),
           .clock = clock_,
           .is_off =
               [this, ours = spec.psci == PsciHandler::kVmm](uint32_t vcpu) {
                 return ours && power_->StateOf(psci::VcpuId{vcpu}) ==
                                    psci::PowerState::kOff;
               },
           .vcpus = vcpus,
           .on_thread =
               [this, sandbox = spec.sandbox] {
                 if (sandbox == nullptr) return;
                 const absl::Status entered =
                     sandbox->Enter(ThreadKind::kWatch, "park-watch");
                 if (!entered.ok()) RequestStop(StopReasonOf(entered));
               }});
    case ParkMode::kHost:
      break;
  }
  return HostParking::Create(*plan_.park, {.memory = *memory_,
                                           .power = *power_,
                                           .slots = *park_slots_,
                                           .judge = JudgeEntry(),
                                           .diagnoses = diagnoses_,
                                           .events = *events_,
                                           .clock = clock_,
                                           .vcpus = vcpus});
}

psci::JudgeEntry Machine::JudgeEntry() const {
  return [this](uint64_t entry) { return JudgeParkEntry(plan_, entry); };
}

absl::Status Machine::LoadGuest(const MachineSpec& spec) {
  ASSIGN_OR_RETURN(dtb_,
                   BuildGuestTree(spec, plan_, vm_->gic(), mpidrs_, devices_));
  boot_ = {plan_.boot.kernel.value(), plan_.boot.dtb.base().value()};
  kernel_bytes_ = spec.kernel.content.size();
  return LoadBoot(
      plan_.boot,
      {.kernel = spec.kernel.content, .dtb = dtb_, .initrd = spec.initrd},
      *memory_);
}

void Machine::CreateThreads(std::vector<std::unique_ptr<Vcpu>> vcpus,
                            const MachineSpec& spec) {
  if (!psci::IsInstant(spec.firmware)) {
    firmware_ = std::make_unique<psci::Firmware>(spec.firmware);
  }
  shared_ = std::make_unique<VcpuThread::Deps>(VcpuThread::Deps{
      .power = *power_,
      .psci = *psci_,
      .bus = bus_,
      .parking = *parking_,
      .clock = clock_,
      .request_stop =
          [this](StopReason reason) { RequestStop(std::move(reason)); },
      .kvm_psci = spec.psci == PsciHandler::kKvm,
      .firmware = firmware_.get(),
      .sandbox = spec.sandbox});
  for (uint32_t i = 0; i < vcpus.size(); ++i) {
    threads_.push_back(std::make_unique<VcpuThread>(
        psci::VcpuId{i}, std::move(vcpus[i]), *shared_, events_->ring(i)));
  }
}

// While any thread runs, the guest may ask for a stop, and that needs all of
// them: so they end together, before the first is destroyed.
Machine::~Machine() {
  Machine::RequestStop({.kind = StopReason::Kind::kInterrupt});
  Machine::Join();
}

void Machine::Start() {
  for (const auto& thread : threads_) thread->Start();
  parking_->Start();
  // Nobody else can have started it. No CPU_ON: that would be firmware's.
  static_cast<void>(
      power_->Release(psci::VcpuId{0}, psci::Door::kCpuOff, boot_));
}

void Machine::RequestStop(StopReason reason) {
  if (!latch_.Set(std::move(reason))) return;
  if (power_ == nullptr) return;  // Building it failed: nothing runs.
  // None of these waits for a lock, so a vCPU that does not come back on its
  // own is kicked whatever the others do.
  power_->Shutdown();
  for (const auto& thread : threads_) thread->Stop();
  if (parking_ != nullptr) parking_->RequestStop();
}

void Machine::Join() {
  if (parking_ == nullptr) return;  // Building it failed: nothing runs.
  parking_->Join();
  for (const auto& thread : threads_) thread->Join();
  Inspect();  // What nobody has looked at yet.
}

size_t Machine::SendInput(absl::Span<const uint8_t> bytes) {
  return console_.input(bytes);
}

size_t Machine::SendToLink(absl::Span<const uint8_t> bytes) {
  return link_ ? link_->input(bytes) : 0;
}

void Machine::RingAlarm() {
  alarm_->alarm.Take();
  alarm_->ring();
}

absl::StatusOr<absl::Span<const uint8_t>> Machine::BytesOf(
    GuestRange loaded) const {
  ASSIGN_OR_RETURN(const void* const host, memory_->HostRange(loaded));
  return absl::MakeSpan(static_cast<const uint8_t*>(host), loaded.size());
}

absl::StatusOr<GuestDigests> Machine::Digests() const {
  GuestDigests digests;
  const auto kernel = GuestRange::Make(plan_.boot.kernel, kernel_bytes_);
  ASSIGN_OR_RETURN(const auto bytes, BytesOf(*kernel));
  digests.kernel = Sha256(bytes);
  digests.kernel_release = LinuxRelease(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (plan_.boot.initrd) {
    ASSIGN_OR_RETURN(const auto initrd, BytesOf(*plan_.boot.initrd));
    digests.initrd = Sha256(initrd);
  }
  digests.dtb = Sha256(dtb_);
  return digests;
}

std::vector<VcpuPostMortem> Machine::PostMortem() const {
  std::vector<VcpuPostMortem> result;
  result.reserve(threads_.size());
  for (const auto& thread : threads_) result.push_back(thread->post_mortem());
  return result;
}

GuestMistakes Machine::Mistakes() const {
  GuestMistakes sum;
  for (const auto& thread : threads_) sum += thread->mistakes();
  return sum;
}

}  // namespace vmm
