// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/device_list.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "psci-emul/park_abi.h"
#include "vmm/base/alarm.h"
#include "vmm/base/status_macros.h"
#include "vmm/boot/memory_map.h"
#include "vmm/boot/slot_allocator.h"
#include "vmm/command/command_abi.h"
#include "vmm/devices/mark_device.h"
#include "vmm/devices/park_device.h"
#include "vmm/devices/pl011.h"
#include "vmm/devices/pl031.h"
#include "vmm/devices/stream_device.h"

namespace vmm {
namespace {

static_assert(kMaxCpus * PARK_DEVICE_STRIDE <= kParkDeviceSlots.size());

std::unique_ptr<MmioDevice> MakeUart(SerialLine& line, const DeviceDeps& deps,
                                     const std::string& label) {
  auto pl011 = std::make_unique<Pl011>(
      Pl011::Host{
          .transmit = [&output =
                           line.output](uint8_t byte) { output.Put(byte); },
          .can_transmit = [&output = line.output] { return !output.Full(); },
          .set_interrupt = deps.set_interrupt,
      },
      label);
  line.input = [device = pl011.get()](absl::Span<const uint8_t> bytes) {
    return device->Receive(bytes);
  };
  return pl011;
}

std::unique_ptr<MmioDevice> MakeConsole(const DeviceDeps& deps) {
  return MakeUart(deps.console, deps, "");
}

std::unique_ptr<MmioDevice> MakeLink(const DeviceDeps& deps) {
  return MakeUart(*deps.link, deps, COMMAND_LINK_LABEL);
}

std::unique_ptr<MmioDevice> MakeStream(const DeviceDeps& deps) {
  ConsoleBuffer& output = deps.link->output;
  return std::make_unique<StreamDevice>(StreamDevice::Host{
      .transmit =
          [&output](absl::Span<const uint8_t> bytes) { output.PutMore(bytes); },
      .room = [&output] { return output.Room(); },
      .end = [&output] { output.End(); },
  });
}

std::unique_ptr<MmioDevice> MakeRealTimeClock(const DeviceDeps& deps) {
  auto pl031 = std::make_unique<Pl031>(Pl031::Host{
      .now_s = Alarm::NowS,
      .set_alarm = [&alarm = deps.alarm.alarm](
                       std::optional<int64_t> at_s) { alarm.Set(at_s); },
      .set_interrupt = deps.set_interrupt,
  });
  deps.alarm.ring = [device = pl031.get()] { device->Ring(); };
  return pl031;
}

std::unique_ptr<MmioDevice> MakeMarkDevice(const DeviceDeps& deps) {
  const auto record = [&events = deps.events,
                       &clock = deps.clock](Event::Kind kind) {
    return [&events, &clock, kind](const MarkDevice::Report& report) {
      events.ring(report.vcpu)
          .Push({.ns = clock.Now(),
                 .vcpu = report.vcpu,
                 .kind = kind,
                 .arguments = 2,
                 .args = {report.code, report.value}});
    };
  };
  return std::make_unique<MarkDevice>(MarkDevice::Listener{
      .clock_ns = [&clock = deps.clock] { return clock.Now(); },
      .on_mark = record(Event::Kind::kMark),
      .on_verdict =
          [note = record(Event::Kind::kVerdict),
           stop = deps.request_stop](const MarkDevice::Report& report) {
            note(report);
            stop({.kind = StopReason::Kind::kVerdict,
                  .vcpu = report.vcpu,
                  .code = report.code,
                  .value = report.value});
          },
  });
}

std::unique_ptr<MmioDevice> MakeParkDevice(const DeviceDeps& deps) {
  const auto on_store = [&events = deps.events, &diagnoses = deps.diagnoses,
                         base = deps.base](const ParkDevice::Report& report) {
    const uint64_t place = base.value() + report.slot;
    Event event = {.ns = report.ns, .vcpu = report.vcpu};
    if (std::holds_alternative<psci::ParkSelf>(report.outcome)) {
      event.kind = Event::Kind::kParkStore;
      event.arguments = 1;
      event.args = {place};
    } else if (const auto* released =
                   std::get_if<psci::Released>(&report.outcome)) {
      event.kind = Event::Kind::kReleaseStore;
      event.arguments = 3;
      event.args = {released->mpidr, released->entry, place};
    } else {
      if (const auto* refused = std::get_if<psci::Refused>(&report.outcome)) {
        diagnoses.Note(refused->fault, report.vcpu, place, report.value);
      }
      return;
    }
    events.ring(report.vcpu).Push(event);
  };
  return std::make_unique<ParkDevice>(
      *deps.park_slots,
      ParkDevice::Listener{
          .clock_ns = [&clock = deps.clock] { return clock.Now(); },
          .on_store = on_store});
}

absl::StatusOr<PlacedDevice> Place(const DeviceEntry& device,
                                   SlotAllocator& allocator) {
  ASSIGN_OR_RETURN(const GuestRange registers,
                   allocator.TakeSlot(device.needs.bytes, device.base));
  std::optional<uint32_t> spi;
  if (device.needs.interrupt) {
    ASSIGN_OR_RETURN(spi, allocator.TakeSpi(device.spi));
  }
  return PlacedDevice{.name = std::string(device.needs.name),
                      .registers = registers,
                      .spi = spi,
                      .is_console = device.is_console,
                      .make = device.make};
}

}  // namespace

std::vector<DeviceEntry> DevicesOf(const MachineSpec& spec) {
  std::vector<DeviceEntry> devices = {
      {.needs = Pl011::kNeeds,
       .make = MakeConsole,
       .base = kPl011.base(),
       .spi = kPl011Spi,
       .is_console = true},
      {.needs = Pl031::kNeeds,
       .make = MakeRealTimeClock,
       .base = kPl031.base(),
       .spi = kPl031Spi},
      {.needs = MarkDevice::kNeeds,
       .make = MakeMarkDevice,
       .base = kMarkDevice.base()},
  };
  if (spec.park == ParkMode::kHost) {
    devices.push_back({.needs = ParkDevice::Needs(spec.vcpus),
                       .make = MakeParkDevice,
                       .base = kParkDeviceSlots.base()});
  }
  // Behind the console, so that Linux counts it behind, too.
  if (spec.command_link) {
    devices.push_back({.needs = Pl011::kNeeds, .make = MakeLink});
    devices.push_back({.needs = StreamDevice::kNeeds, .make = MakeStream});
  }
  return devices;
}

absl::StatusOr<std::vector<PlacedDevice>> PlaceDevices(
    absl::Span<const DeviceEntry> devices) {
  SlotAllocator allocator;
  std::vector<std::optional<PlacedDevice>> placed(devices.size());
  for (const bool fixed : {true, false}) {
    for (size_t i = 0; i < devices.size(); ++i) {
      if ((devices[i].base || devices[i].spi) != fixed) continue;
      absl::StatusOr<PlacedDevice> device = Place(devices[i], allocator);
      if (!device.ok()) {
        return absl::Status(device.status().code(),
                            absl::StrCat(devices[i].needs.name, ": ",
                                         device.status().message()));
      }
      placed[i] = *std::move(device);
    }
  }
  std::vector<PlacedDevice> result;
  result.reserve(placed.size());
  for (auto& device : placed) result.push_back(*std::move(device));
  return result;
}

}  // namespace vmm
