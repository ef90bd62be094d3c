// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "vmm/base/status_macros.h"
#include "vmm/boot/memory_map.h"

namespace vmm {
namespace {

using nlohmann::json;

constexpr uint64_t kMinMemory = uint64_t{16} << 20;
constexpr uint64_t kMemoryUnit = uint64_t{2} << 20;

absl::Status CheckCpus(uint32_t vcpus) {
  if (vcpus != 0 && vcpus <= kMaxCpus) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("--cpus must be 1 to %d", kMaxCpus));
}

absl::StatusOr<GuestRange> RamOf(uint64_t bytes) {
  if (bytes < kMinMemory || bytes % kMemoryUnit != 0 ||
      bytes > kRamWindow.size()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--memory must be a multiple of 2M from %dM to %dG",
                        kMinMemory >> 20, kRamWindow.size() >> 30));
  }
  return *GuestRange::Make(kRamWindow.base(), bytes);
}

// Refuses options that contradict each other.
absl::Status CheckOptions(const MachineSpec& spec) {
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
  if (spec.park == ParkMode::kOff && !spec.park_no_map) {
    return absl::InvalidArgumentError(
        "--park-node is nothing without --park guest or --park host");
  }
  if (spec.park != ParkMode::kOff &&
      absl::StrContains(spec.command_line, "cpuparkmem=")) {
    return absl::InvalidArgumentError(
        "cpuparkmem= in --params: vmm adds it itself; say where with "
        "--park-base, or --park off");
  }
  return absl::OkStatus();
}

std::vector<GuestRange> RedistributorsOf(uint32_t vcpus) {
  std::vector<GuestRange> regions = {kGicV3Redistributors};
  if (vcpus * kGicV3RedistributorStride > kGicV3Redistributors.size()) {
    regions.push_back(kGicV3HighRedistributors);
  }
  return regions;
}

absl::StatusOr<std::optional<ParkPlacement>> PlaceParkPages(
    GuestRange ram, const MachineSpec& spec) {
  if (spec.park == ParkMode::kOff) return std::nullopt;
  return PlacePark(ram, {.vcpus = spec.vcpus,
                         .guest_page = spec.kernel.page_size,
                         .base = spec.park_base});
}

// Returns the RAM that the kernel and its files may lie in. Park pages that the
// VMM has placed are at the end of RAM, and these files before them; with
// --park-base the caller checks for overlaps instead.
GuestRange BootRam(GuestRange ram, const MachineSpec& spec,
                   const std::optional<ParkPlacement>& park) {
  if (!park || spec.park_base) return ram;
  return *GuestRange::Make(ram.base(),
                           park->window.base().value() - ram.base().value());
}

GuestRange KernelRange(const Placement& boot, const KernelImage& kernel) {
  const uint64_t bytes =
      std::max<uint64_t>({kernel.image_size, kernel.content.size(), 1});
  return *GuestRange::Make(boot.kernel, bytes);
}

// The VMM's word goes before the user's words: after a "--" it would be init's.
std::string CommandLine(const MachineSpec& spec,
                        const std::optional<ParkPlacement>& park) {
  if (!park) return spec.command_line;
  return absl::StrFormat("cpuparkmem=%#x%s%s", park->pages.base().value(),
                         spec.command_line.empty() ? "" : " ",
                         spec.command_line);
}

// arm64's COMMAND_LINE_SIZE, with the NUL: Linux cuts off what is longer, and
// says nothing.
constexpr size_t kMaxCommandLine = 2047;

absl::Status CheckCommandLine(absl::string_view line, bool raw) {
  if (raw || line.size() <= kMaxCommandLine) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "the kernel's command line has %d characters and arm64 Linux takes %d; "
      "say less with --params",
      line.size(), kMaxCommandLine));
}

std::string Hex(GuestAddress address) {
  return absl::StrFormat("0x%x", address.value());
}

json RangeJson(const GuestRange& range) {
  return {{"base", Hex(range.base())}, {"bytes", range.size()}};
}

json DeviceJson(const PlacedDevice& device) {
  json result = RangeJson(device.registers);
  result["name"] = device.name;
  result["spi"] = nullptr;
  if (device.spi) result["spi"] = *device.spi;
  return result;
}

}  // namespace

absl::StatusOr<MachinePlan> Plan(const MachineSpec& spec) {
  return Plan(spec, DevicesOf(spec));
}

absl::StatusOr<MachinePlan> Plan(const MachineSpec& spec,
                                 absl::Span<const DeviceEntry> devices) {
  RETURN_IF_ERROR(CheckCpus(spec.vcpus));
  ASSIGN_OR_RETURN(const GuestRange ram, RamOf(spec.memory_bytes));
  RETURN_IF_ERROR(CheckOptions(spec));
  ASSIGN_OR_RETURN(std::vector<PlacedDevice> placed, PlaceDevices(devices));
  ASSIGN_OR_RETURN(const auto park, PlaceParkPages(ram, spec));
  ASSIGN_OR_RETURN(
      const Placement boot,
      PlaceBoot(BootRam(ram, spec, park), spec.kernel, spec.initrd.size()));
  std::string command_line = CommandLine(spec, park);
  RETURN_IF_ERROR(CheckCommandLine(command_line, spec.kernel.raw));
  const GuestRange kernel = KernelRange(boot, spec.kernel);
  if (park) RETURN_IF_ERROR(CheckApart(*park, boot, kernel.size()));
  std::vector<GuestRange> redistributors = RedistributorsOf(spec.vcpus);
  const GuestAddress last_address =
      std::max(ram.last(), redistributors.back().last());
  return MachinePlan{.vcpus = spec.vcpus,
                     .ram = ram,
                     .last_address = last_address,
                     .gic_distributor = kGicDistributor,
                     .gic_cpu_interface = kGicV2CpuInterface,
                     .gic_redistributors = std::move(redistributors),
                     .devices = std::move(placed),
                     .kernel = kernel,
                     .boot = boot,
                     .park = park,
                     .command_line = std::move(command_line)};
}

std::optional<psci::ParkFault> JudgeParkEntry(const MachinePlan& plan,
                                              uint64_t entry) {
  if (entry % 4 != 0) return psci::ParkFault::kExitMisaligned;
  const GuestAddress address(entry);
  if (plan.park->window.Contains(address)) {
    return psci::ParkFault::kExitInRegion;
  }
  if (plan.ram.Contains(address)) return std::nullopt;
  return IsDeviceAddress(address) ? psci::ParkFault::kExitInMmio
                                  : psci::ParkFault::kExitNotRam;
}

json ToJson(const MachinePlan& plan) {
  json redistributors = json::array();
  for (const GuestRange& region : plan.gic_redistributors) {
    redistributors.push_back(RangeJson(region));
  }
  json devices = json::array();
  for (const PlacedDevice& device : plan.devices) {
    devices.push_back(DeviceJson(device));
  }
  json park = nullptr;
  if (plan.park) {
    park = {{"window", RangeJson(plan.park->window)},
            {"pages", RangeJson(plan.park->pages)},
            {"stride", plan.park->stride}};
  }
  json initrd = nullptr;
  if (plan.boot.initrd) initrd = RangeJson(*plan.boot.initrd);
  return {{"cpus", plan.vcpus},
          {"ram", RangeJson(plan.ram)},
          {"last_address", Hex(plan.last_address)},
          {"gic",
           {{"distributor", RangeJson(plan.gic_distributor)},
            {"cpu_interface", RangeJson(plan.gic_cpu_interface)},
            {"redistributors", redistributors}}},
          {"devices", devices},
          {"kernel", RangeJson(plan.kernel)},
          {"dtb", Hex(plan.boot.dtb.base())},
          {"initrd", initrd},
          {"park", park},
          {"command_line", plan.command_line}};
}

}  // namespace vmm
