// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "fdt/machine_tree.h"
#include "psci-emul/park_abi.h"
#include "vmm/base/status_macros.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/memory_map.h"
#include "vmm/boot/placement.h"

namespace vmm {
namespace {

constexpr uint64_t kMinMemory = uint64_t{16} << 20;
constexpr uint64_t kMemoryUnit = uint64_t{2} << 20;

absl::StatusOr<GuestRange> RamOf(uint64_t bytes) {
  if (bytes < kMinMemory || bytes % kMemoryUnit != 0 ||
      bytes > kRamWindow.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--memory must be a multiple of 2M from %dM to %dG",
                        kMinMemory >> 20, kRamWindow.size() >> 30));
  }
  return *GuestRange::Make(kRamWindow.base(), bytes);
}

fdt::Region RegionOf(const GuestRange& range) {
  return {range.base().value(), range.size()};
}

bool NeedsHighRedistributors(uint32_t vcpus) {
  return vcpus * kGicV3RedistributorStride > kGicV3Redistributors.size();
}

VmSpec VmSpecOf(const MachineSpec& spec, GuestRange ram) {
  return {.vcpus = spec.vcpus,
          .psci = spec.psci,
          .last_address = NeedsHighRedistributors(spec.vcpus)
                              ? kGicV3HighRedistributors.last()
                              : ram.last(),
          .gic_distributor = kGicDistributor,
          .gic_cpu = kGicV2CpuInterface,
          .gic_redistributors = kGicV3Redistributors,
          .gic_redistributors_high = kGicV3HighRedistributors};
}

std::variant<fdt::GicV2, fdt::GicV3> DescribeGic(GicVersion version,
                                                 uint32_t vcpus) {
  if (version == GicVersion::kV2) {
    return fdt::GicV2{RegionOf(kGicDistributor), RegionOf(kGicV2CpuInterface)};
  }
  fdt::GicV3 gic = {RegionOf(kGicDistributor),
                    {RegionOf(kGicV3Redistributors)}};
  if (NeedsHighRedistributors(vcpus)) {
    gic.redistributors.push_back(RegionOf(kGicV3HighRedistributors));
  }
  return gic;
}

void AddSeeds(std::optional<uint64_t> seed, fdt::MachineDescription& machine) {
  std::random_device host;
  std::mt19937_64 random(seed ? *seed : uint64_t{host()} << 32 | host());
  const auto next = [&] {
    return seed ? random() : uint64_t{host()} << 32 | host();
  };
  machine.kaslr_seed = next();
  machine.rng_seed.resize(64);
  for (uint8_t& byte : machine.rng_seed) byte = static_cast<uint8_t>(next());
}

// Returns the name of the console's node.
std::string ConsoleNode(absl::Span<const PlacedDevice> devices) {
  for (const PlacedDevice& device : devices) {
    if (!device.is_console) continue;
    return fdt::UnitName(device.name, device.registers.base().value());
  }
  return "";
}

GuestRange ParkSlotsOf(uint64_t vcpus) {
  return *GuestRange::Make(kParkPages.base(), vcpus * PARK_DEVICE_STRIDE);
}

struct Places {
  Placement boot;
  std::optional<ParkPlacement> park;
};

// The park pages at the end of RAM, all else before them; or the pages where
// the user wants them, if nothing else is there.
absl::StatusOr<Places> PlaceAll(GuestRange ram, const MachineSpec& spec) {
  std::optional<ParkPlacement> park;
  if (spec.park != ParkMode::kOff) {
    ASSIGN_OR_RETURN(park, PlacePark(ram, {.vcpus = spec.vcpus,
                                           .guest_page = spec.kernel.page_size,
                                           .base = spec.park_base}));
    if (!spec.park_base) {
      ram = *GuestRange::Make(ram.base(),
                              park->window.base().value() - ram.base().value());
    }
  }
  ASSIGN_OR_RETURN(const Placement boot,
                   PlaceBoot(ram, spec.kernel, spec.initrd.size()));
  if (park) {
    const uint64_t kernel =
        std::max<uint64_t>(spec.kernel.image_size, spec.kernel.bytes.size());
    RETURN_IF_ERROR(CheckApart(*park, boot, kernel));
  }
  return Places{boot, park};
}

// Where a parked CPU may start: the park pages themselves are RAM, but no place
// to execute.
std::optional<psci::ParkFault> JudgeEntry(GuestRange ram, GuestRange window,
                                          uint64_t entry) {
  if (entry % 4 != 0) return psci::ParkFault::kExitMisaligned;
  const GuestAddress address(entry);
  if (window.Contains(address)) return psci::ParkFault::kExitInRegion;
  if (ram.Contains(address)) return std::nullopt;
  return IsDeviceAddress(address) ? psci::ParkFault::kExitInMmio
                                  : psci::ParkFault::kExitNotRam;
}

}  // namespace

absl::Status Validate(const MachineSpec& spec) {
  if (spec.vcpus == 0 || spec.vcpus > kMaxCpus) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--cpus must be 1 to %d", kMaxCpus));
  }
  ASSIGN_OR_RETURN(const GuestRange ram, RamOf(spec.memory_bytes));
  if (spec.park == ParkMode::kHost && spec.psci == PsciHandler::kKvm) {
    return absl::InvalidArgumentError(
        "--park host needs --psci vmm: a CPU that parks is off, and with "
        "--psci kvm that is KVM's to say; use --park off or --park guest");
  }
  if (!psci::IsInstant(spec.firmware) && spec.psci == PsciHandler::kKvm) {
    return absl::InvalidArgumentError(
        "--firmware needs --psci vmm: what KVM answers takes the time that KVM "
        "takes; use --firmware none");
  }
  if (spec.park == ParkMode::kOff && spec.park_base) {
    return absl::InvalidArgumentError(
        "--park-base is nothing without --park guest or --park host");
  }
  if (spec.park != ParkMode::kOff &&
      absl::StrContains(spec.command_line, "cpuparkmem=")) {
    return absl::InvalidArgumentError(
        "cpuparkmem= in --params: vmm adds it itself; say where with "
        "--park-base, or --park off");
  }
  return PlaceAll(ram, spec).status();
}

absl::StatusOr<std::unique_ptr<Machine>> Machine::Create(
    const MachineSpec& spec, const OpenVm& open_vm) {
  RETURN_IF_ERROR(Validate(spec));
  std::unique_ptr<Machine> machine(new Machine);
  RETURN_IF_ERROR(machine->Build(spec, open_vm));
  return machine;
}

absl::Status Machine::Build(const MachineSpec& spec, const OpenVm& open_vm) {
  ASSIGN_OR_RETURN(const GuestRange ram, RamOf(spec.memory_bytes));
  ASSIGN_OR_RETURN(vm_, open_vm(VmSpecOf(spec, ram)));
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
  RETURN_IF_ERROR(CreateDevices(spec));
  RETURN_IF_ERROR(CreatePark(spec, ram));
  RETURN_IF_ERROR(LoadGuest(spec));
  CreateThreads(std::move(vcpus), spec);
  return absl::OkStatus();
}

absl::Status Machine::CreateDevices(const MachineSpec& spec) {
  ASSIGN_OR_RETURN(placed_, PlaceDevices(DevicesOf(spec)));
  for (const PlacedDevice& placed : placed_) {
    devices_.push_back(placed.make(
        {.console = console_,
         .console_input = console_input_,
         .events = *events_,
         .clock = clock_,
         .request_stop =
             [this](StopReason reason) { RequestStop(std::move(reason)); },
         .set_interrupt =
             [this, spi = placed.spi](bool level) {
               if (spi) SetSpi(*spi, level);
             }}));
    RETURN_IF_ERROR(bus_.Attach(placed.registers, *devices_.back()));
  }
  return absl::OkStatus();
}

void Machine::SetSpi(uint32_t spi, bool level) {
  const absl::Status set = vm_->SetSpi(spi, level);
  if (set.ok()) return;
  RequestStop({.kind = StopReason::Kind::kVmmError,
               .detail = std::string(set.message())});
}

absl::Status Machine::CreatePark(const MachineSpec& spec, GuestRange ram) {
  ASSIGN_OR_RETURN(const Places places, PlaceAll(ram, spec));
  park_placement_ = places.park;
  if (spec.park == ParkMode::kOff) return absl::OkStatus();
  const GuestRange window = places.park->window;
  const auto judge = [ram, window](uint64_t entry) {
    return JudgeEntry(ram, window, entry);
  };
  if (spec.park == ParkMode::kGuest) return CreateWatch(spec, judge);
  park_slots_ = std::make_unique<psci::ParkSlots>(*power_, judge);
  ASSIGN_OR_RETURN(
      park_region_,
      ParkRegion::Create(*places.park, {.memory = *memory_,
                                        .power = *power_,
                                        .judge = judge,
                                        .diagnoses = diagnoses_,
                                        .events = *events_,
                                        .clock = clock_,
                                        .nudge = [this](uint32_t vcpu) {
                                          threads_[vcpu]->Nudge();
                                        }}));
  return absl::OkStatus();
}

absl::Status Machine::CreateWatch(const MachineSpec& spec,
                                  const psci::JudgeEntry& judge) {
  const bool ours = spec.psci == PsciHandler::kVmm;
  ASSIGN_OR_RETURN(
      park_watch_,
      ParkWatch::Create(
          *park_placement_,
          {.memory = *memory_,
           .power = *power_,
           .judge = judge,
           .diagnoses = diagnoses_,
           .events = events_->observers_ring(),
           .clock = clock_,
           .stride = std::max<uint64_t>(spec.kernel.page_size, kParkUnit),
           .is_off =
               [this, ours](uint32_t vcpu) {
                 return ours && power_->StateOf(psci::VcpuId{vcpu}) ==
                                    psci::PowerState::kOff;
               },
           .ask = [this](uint32_t vcpu) { return threads_[vcpu]->Ask(); },
           .host_cpu_ns =
               [this](uint32_t vcpu) { return threads_[vcpu]->HostCpuNs(); }}));
  return absl::OkStatus();
}

std::optional<SpinTotals> Machine::Spinning() const {
  if (park_watch_ == nullptr) return std::nullopt;
  return park_watch_->totals();
}

void Machine::Inspect() {
  if (park_region_ != nullptr) park_region_->Inspect();
}

absl::Status Machine::LoadGuest(const MachineSpec& spec) {
  const GuestRange ram = memory_->range();
  ASSIGN_OR_RETURN(const Places places, PlaceAll(ram, spec));
  const Placement& placement = places.boot;
  fdt::MachineDescription machine = {
      .cpu_affinities = mpidrs_,
      .memory = {RegionOf(ram)},
      .gic = DescribeGic(vm_->gic(), spec.vcpus),
      .console = ConsoleNode(placed_),
      .write_devices =
          [this](fdt::TreeWriter& tree) {
            for (size_t i = 0; i < devices_.size(); ++i) {
              devices_[i]->Describe(tree, placed_[i].place());
            }
          },
      .bootargs = spec.command_line,
  };
  if (places.park) {
    machine.reserved_memory.push_back(
        {.name = "park", .region = RegionOf(places.park->window)});
    // Before the user's words: behind a "--" it would be for init.
    machine.bootargs = absl::StrFormat(
        "cpuparkmem=%#x%s%s", places.park->pages.base().value(),
        spec.command_line.empty() ? "" : " ", spec.command_line);
  }
  machine.idle_states = spec.idle_states;
  if (placement.initrd) machine.initrd = RegionOf(*placement.initrd);
  AddSeeds(spec.seed, machine);
  ASSIGN_OR_RETURN(dtb_, fdt::BuildMachineTree(machine));
  boot_ = {placement.kernel.value(), placement.dtb.value()};
  return LoadBoot(
      placement,
      {.kernel = spec.kernel.bytes, .dtb = dtb_, .initrd = spec.initrd},
      *memory_);
}

void Machine::CreateThreads(std::vector<std::unique_ptr<Vcpu>> vcpus,
                            const MachineSpec& spec) {
  if (!psci::IsInstant(spec.firmware)) {
    firmware_ = std::make_unique<psci::Firmware>(spec.firmware);
  }
  shared_ = std::make_unique<VcpuThread::Machine>(VcpuThread::Machine{
      .power = *power_,
      .psci = *psci_,
      .bus = bus_,
      .doors = {.device = park_slots_ == nullptr
                              ? std::nullopt
                              : std::optional(ParkSlotsOf(mpidrs_.size())),
                .slots = park_slots_.get(),
                .region = park_region_.get(),
                .watch = park_watch_.get(),
                .diagnoses = &diagnoses_},
      .clock = clock_,
      .request_stop =
          [this](StopReason reason) { RequestStop(std::move(reason)); },
      .kvm_psci = spec.psci == PsciHandler::kKvm,
      .firmware = firmware_.get()});
  for (uint32_t i = 0; i < vcpus.size(); ++i) {
    threads_.push_back(std::make_unique<VcpuThread>(
        psci::VcpuId{i}, std::move(vcpus[i]), *shared_, events_->ring(i)));
  }
}

// While any thread runs, the guest may ask for a stop, and that needs all of
// them: so they end together, before the first is destroyed.
Machine::~Machine() {
  RequestStop({.kind = StopReason::Kind::kInterrupt});
  Join();
}

void Machine::Start() {
  for (const auto& thread : threads_) thread->Start();
  if (park_watch_ != nullptr) park_watch_->Start();
  // Nobody else can have started it. No CPU_ON: that would be firmware's.
  static_cast<void>(
      power_->Release(psci::VcpuId{0}, psci::Door::kCpuOff, boot_));
}

void Machine::RequestStop(StopReason reason) {
  if (!latch_.Set(std::move(reason))) return;
  if (power_ == nullptr) return;  // Building it failed: nothing runs.
  power_->Shutdown();
  if (park_region_ != nullptr) park_region_->Shutdown();
  for (const auto& thread : threads_) thread->Stop();
}

void Machine::Join() {
  if (park_watch_ != nullptr) park_watch_->Stop();
  for (const auto& thread : threads_) thread->Join();
  Inspect();  // What nobody has looked at yet.
}

size_t Machine::SendInput(absl::Span<const uint8_t> bytes) {
  return console_input_(bytes);
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
