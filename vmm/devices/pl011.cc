// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pl011.h"

#include <algorithm>
#include <utility>

#include "vmm/devices/primecell.h"

namespace vmm {
namespace {

enum Register : uint64_t {
  kData = 0x000,
  kReceiveStatus = 0x004,
  kFlag = 0x018,
  kIntegerBaud = 0x024,
  kFractionalBaud = 0x028,
  kLineControl = 0x02c,
  kControl = 0x030,
  kFifoLevel = 0x034,
  kInterruptMask = 0x038,
  kRawInterrupt = 0x03c,
  kMaskedInterrupt = 0x040,
  kInterruptClear = 0x044,
};
constexpr uint32_t kControlListens = 1u << 0 | 1u << 9;  // UARTEN, RXE.
constexpr uint32_t kFlagReceiveEmpty = 1u << 4;
constexpr uint32_t kFlagTransmitFull = 1u << 5;
constexpr uint32_t kFlagReceiveFull = 1u << 6;
constexpr uint32_t kFlagTransmitEmpty = 1u << 7;
constexpr uint32_t kInterruptReceive = 1u << 4;
constexpr uint32_t kInterruptTransmit = 1u << 5;
constexpr uint32_t kInterruptReceiveTimeout = 1u << 6;
constexpr uint32_t kPeripheralId = 0x00241011;  // Revision r1p5.
// More than the 32 bytes of hardware: a pasted line arrives at once, and all
// that a command may be sent (vmm/command/link.h).
constexpr size_t kReceiveCapacity = 4096;

}  // namespace

Pl011::Pl011(Host host, std::string label)
    : host_(std::move(host)), label_(std::move(label)) {}

size_t Pl011::Receive(absl::Span<const uint8_t> bytes) {
  MutexLock lock(mutex_);
  if ((control_ & kControlListens) != kControlListens) return 0;
  const size_t taken =
      std::min(bytes.size(), kReceiveCapacity - received_.size());
  received_.insert(received_.end(), bytes.begin(),
                   bytes.begin() + static_cast<ptrdiff_t>(taken));
  if (taken != 0) {
    raw_interrupts_ |= kInterruptReceive | kInterruptReceiveTimeout;
  }
  UpdateInterrupt();
  return taken;
}

uint32_t Pl011::Flags() {
  uint32_t flags = 0;
  const bool hidden = std::exchange(drains_, false);
  if (received_.empty() || hidden) {
    flags |= kFlagReceiveEmpty;
  } else if (received_.size() == kReceiveCapacity) {
    flags |= kFlagReceiveFull;
  }
  flags |= host_.can_transmit() ? kFlagTransmitEmpty : kFlagTransmitFull;
  return flags;
}

uint32_t Pl011::ReadData() {
  if (received_.empty()) return 0;
  const uint8_t byte = received_.front();
  received_.pop_front();
  if (received_.empty()) {
    raw_interrupts_ &= ~(kInterruptReceive | kInterruptReceiveTimeout);
  }
  UpdateInterrupt();
  return byte;
}

void Pl011::UpdateInterrupt() {
  const bool wanted = (raw_interrupts_ & interrupt_mask_) != 0;
  if (wanted != asserted_) host_.set_interrupt(wanted);
  asserted_ = wanted;
}

uint64_t Pl011::Read(const MmioAccess& access) {
  MutexLock lock(mutex_);
  switch (access.offset) {
    case kData:
      return ReadData();
    case kFlag:
      return Flags();
    case kIntegerBaud:
      return integer_baud_;
    case kFractionalBaud:
      return fractional_baud_;
    case kLineControl:
      return line_control_;
    case kControl:
      return control_;
    case kFifoLevel:
      return fifo_level_;
    case kInterruptMask:
      return interrupt_mask_;
    case kRawInterrupt:
      return raw_interrupts_;
    case kMaskedInterrupt:
      return raw_interrupts_ & interrupt_mask_;
    default:
      return PrimecellId(kPeripheralId, access.offset);
  }
}

AfterWrite Pl011::Write(const MmioAccess& access, uint64_t value) {
  const auto word = static_cast<uint32_t>(value) & 0xffff;
  MutexLock lock(mutex_);
  switch (access.offset) {
    case kData:
      host_.transmit(static_cast<uint8_t>(word));
      raw_interrupts_ |= kInterruptTransmit;  // The FIFO has drained already.
      break;
    case kIntegerBaud:
      integer_baud_ = word;
      break;
    case kFractionalBaud:
      fractional_baud_ = word & 0x3f;
      break;
    case kLineControl:
      line_control_ = word & 0xff;
      break;
    case kControl:
      control_ = word;
      fresh_ = true;
      break;
    case kFifoLevel:
      fifo_level_ = word & 0x3f;
      break;
    case kInterruptMask:
      interrupt_mask_ = word & 0x7ff;
      break;
    case kInterruptClear:
      raw_interrupts_ &= ~word;
      if ((word & kInterruptReceive) != 0 && std::exchange(fresh_, false)) {
        drains_ = true;
      }
      if (!received_.empty()) raw_interrupts_ |= kInterruptReceive;
      break;
    default:
      break;
  }
  UpdateInterrupt();
  return AfterWrite::kDone;
}

void Pl011::Describe(fdt::TreeWriter& tree,
                     const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.Strings("compatible", {"arm,pl011", "arm,primecell"});
    fdt::WritePlace(tree, place);
    tree.Cells("clocks", {fdt::kClockPhandle, fdt::kClockPhandle});
    tree.Strings("clock-names", {"uartclk", "apb_pclk"});
    if (!label_.empty()) tree.Strings("label", {label_});
  });
}

}  // namespace vmm
