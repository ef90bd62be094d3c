// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_PL011_H_
#define PARKVMM_VMM_DEVICES_PL011_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "vmm/base/mutex.h"
#include "vmm/devices/mmio_device.h"

namespace vmm {

// Arm PL011 UART (DDI 0183). A byte is sent the moment it is written; when the
// host side cannot take more, the transmit FIFO reads as full and the guest
// waits, as on a real line.
class Pl011 : public MmioDevice {
 public:
  static constexpr DeviceNeeds kNeeds = {.name = "pl011", .interrupt = true};

  struct Host {
    // Called by any vCPU thread with the device's lock held, so they must not
    // call the device.
    std::function<void(uint8_t)> transmit;
    std::function<bool()> can_transmit;
    std::function<void(bool)> set_interrupt;
  };

  // `label`: the device tree's for it; empty for none.
  explicit Pl011(Host host, std::string label = "");

  // Puts bytes into the receive queue; returns how many fit: none until the
  // guest has enabled the UART and its receiver. Any thread.
  size_t Receive(absl::Span<const uint8_t> bytes);

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;

 private:
  uint32_t Flags() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t ReadData() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateInterrupt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Host host_;
  const std::string label_;
  Mutex mutex_;
  std::deque<uint8_t> received_ ABSL_GUARDED_BY(mutex_);
  uint32_t integer_baud_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t fractional_baud_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t line_control_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t control_ ABSL_GUARDED_BY(mutex_) = 0x300;  // TXE, RXE.
  uint32_t fifo_level_ ABSL_GUARDED_BY(mutex_) = 0x12;
  uint32_t interrupt_mask_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t raw_interrupts_ ABSL_GUARDED_BY(mutex_) = 0;
  bool asserted_ ABSL_GUARDED_BY(mutex_) = false;

  // Linux enables the receiver when somebody opens its tty, then clears the
  // receive interrupts, empties the FIFO and unmasks them: the first bytes of a
  // pipe would be lost. So the FIFO looks empty once after the first clear that
  // follows a write to the control register, as if the bytes came a moment
  // later. A guest that polls looks again, and one that waits for the interrupt
  // gets it.
  bool fresh_ ABSL_GUARDED_BY(mutex_) = false;   // Control was written.
  bool drains_ ABSL_GUARDED_BY(mutex_) = false;  // The next look finds nothing.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_PL011_H_
