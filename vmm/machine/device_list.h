// SPDX-License-Identifier: Apache-2.0
// The list of a machine's devices: the one place to add a device to.
#ifndef PARKVMM_VMM_MACHINE_DEVICE_LIST_H_
#define PARKVMM_VMM_MACHINE_DEVICE_LIST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "fdt/device_node.h"
#include "psci-emul/park_slots.h"
#include "vmm/base/alarm.h"
#include "vmm/base/clock.h"
#include "vmm/base/guest_address.h"
#include "vmm/devices/mmio_device.h"
#include "vmm/machine/console_buffer.h"
#include "vmm/machine/machine_spec.h"
#include "vmm/machine/stop.h"
#include "vmm/measure/event_log.h"
#include "vmm/park/diagnosis_log.h"

namespace vmm {

// The host's end of a UART.
struct SerialLine {
  explicit SerialLine(ConsoleBuffer::Wake wake = ConsoleBuffer::Wake::kByLine)
      : output(wake) {}

  ConsoleBuffer output;
  // Hands bytes to the guest; returns how many it took. Any thread. The UART
  // sets it; until then all is taken, and lost.
  std::function<size_t(absl::Span<const uint8_t>)> input =
      [](absl::Span<const uint8_t> bytes) { return bytes.size(); };
};

// The host's end of the real-time clock's alarm.
struct AlarmLine {
  Alarm alarm;
  // Tells the device that the alarm's time may have come. Any thread. The
  // device sets it.
  std::function<void()> ring = [] {};
};

// What a machine offers to its devices. All of it outlives them.
struct DeviceDeps {
  SerialLine& console;
  SerialLine* link;  // nullptr unless a command is linked.
  AlarmLine& alarm;
  EventLog& events;
  const Clock& clock;
  std::function<void(StopReason)> request_stop;  // Any thread.
  // Sets the level of the device's own SPI; does nothing if it has none. Any
  // thread.
  std::function<void(bool)> set_interrupt;
  GuestAddress base;            // Of the device's own registers.
  psci::ParkSlots* park_slots;  // nullptr unless CPUs park in the VMM.
  DiagnosisLog& diagnoses;
};

using MakeDevice =
    std::function<std::unique_ptr<MmioDevice>(const DeviceDeps&)>;

// A device that a machine is to have.
struct DeviceEntry {
  DeviceNeeds needs;
  MakeDevice make;
  // The board's own place for it. Without one, the allocator finds a place.
  std::optional<GuestAddress> base;
  std::optional<uint32_t> spi;
  bool is_console = false;  // The device tree's stdout-path.
};

// A device that has its place.
struct PlacedDevice {
  std::string name;
  GuestRange registers;
  std::optional<uint32_t> spi;
  bool is_console = false;
  MakeDevice make;

  fdt::DevicePlace place() const {
    return {{registers.base().value(), registers.size()}, spi};
  }
};

// Returns the devices that a machine of this kind has, in the order of the
// device tree.
std::vector<DeviceEntry> DevicesOf(const MachineSpec& spec);

// Gives each device its slot and its SPI. Pure: the same list gives the same
// places. Errors as SlotAllocator's, with the device's name.
absl::StatusOr<std::vector<PlacedDevice>> PlaceDevices(
    absl::Span<const DeviceEntry> devices);

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_DEVICE_LIST_H_
