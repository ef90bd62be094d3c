// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/pl031.h"

#include "vmm/devices/primecell.h"

namespace vmm {
namespace {

enum Register : uint64_t {
  kData = 0x00,
  kMatch = 0x04,
  kLoad = 0x08,
  kControl = 0x0c,
  kInterruptMask = 0x10,  // 1: the alarm interrupts.
  kRawInterrupt = 0x14,
  kMaskedInterrupt = 0x18,
  kInterruptClear = 0x1c,
};
constexpr uint32_t kPeripheralId = 0x00041031;

}  // namespace

void Pl031::Ring() {
  MutexLock lock(mutex_);
  if (!alarm_s_) return;
  // The guest, or who set the host's clock, may have put it off since.
  if (host_.now_s() < *alarm_s_) return host_.set_alarm(alarm_s_);
  alarm_s_.reset();
  raw_ = true;
  UpdateInterrupt();
}

// The interrupt comes when the count is what the match register says, which
// may be now, and takes 136 years if that has passed.
void Pl031::AwaitMatch(int64_t now_s) {
  const uint32_t ahead_s = match_ - Count(now_s);
  alarm_s_.reset();
  if (ahead_s == 0) {
    raw_ = true;
  } else {
    alarm_s_ = now_s + ahead_s;
  }
  host_.set_alarm(alarm_s_);
}

void Pl031::UpdateInterrupt() {
  const bool wanted = raw_ && unmasked_;
  if (wanted != asserted_) host_.set_interrupt(wanted);
  asserted_ = wanted;
}

uint64_t Pl031::Read(const MmioAccess& access) {
  MutexLock lock(mutex_);
  switch (access.offset) {
    case kData:
    case kLoad:
      return Count(host_.now_s());
    case kMatch:
      return match_;
    case kControl:
      return 1;  // Always counting.
    case kInterruptMask:
      return unmasked_ ? 1 : 0;
    case kRawInterrupt:
      return raw_ ? 1 : 0;
    case kMaskedInterrupt:
      return raw_ && unmasked_ ? 1 : 0;
    default:
      return PrimecellId(kPeripheralId, access.offset);
  }
}

AfterWrite Pl031::Write(const MmioAccess& access, uint64_t value) {
  const auto word = static_cast<uint32_t>(value);
  MutexLock lock(mutex_);
  const int64_t now_s = host_.now_s();
  switch (access.offset) {
    case kLoad:
      offset_ = word - static_cast<uint32_t>(now_s);
      AwaitMatch(now_s);
      break;
    case kMatch:
      match_ = word;
      AwaitMatch(now_s);
      break;
    case kInterruptMask:
      unmasked_ = (word & 1) != 0;
      break;
    case kInterruptClear:
      if ((word & 1) != 0) raw_ = false;
      break;
    default:
      break;
  }
  UpdateInterrupt();
  return AfterWrite::kDone;
}

void Pl031::Describe(fdt::TreeWriter& tree,
                     const fdt::DevicePlace& place) const {
  tree.Node(fdt::UnitName(Name(), place.registers.base), [&] {
    tree.Strings("compatible", {"arm,pl031", "arm,primecell"});
    fdt::WritePlace(tree, place);
    tree.Cells("clocks", {fdt::kClockPhandle});
    tree.String("clock-names", "apb_pclk");
  });
}

}  // namespace vmm
