// SPDX-License-Identifier: Apache-2.0
#include "vmm/devices/mmio_bus.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace vmm {

absl::Status MmioBus::Attach(GuestRange range, MmioDevice& device) {
  for (const Slot& slot : slots_) {
    if (slot.range.Overlaps(range)) {
      return absl::AlreadyExistsError(
          absl::StrCat(device.Name(), " overlaps ", slot.device->Name()));
    }
  }
  const auto after = std::find_if(
      slots_.begin(), slots_.end(),
      [&](const Slot& slot) { return range.base() < slot.range.base(); });
  slots_.insert(after, Slot{range.last(), range, &device});
  return absl::OkStatus();
}

const MmioBus::Slot* MmioBus::Find(GuestAddress address, unsigned size) const {
  for (const Slot& slot : slots_) {
    if (address > slot.last) continue;
    const bool within = address >= slot.range.base() &&
                        size - 1 <= slot.last.value() - address.value();
    return within ? &slot : nullptr;
  }
  return nullptr;
}

std::optional<uint64_t> MmioBus::Read(uint32_t vcpu, GuestAddress address,
                                      unsigned size) const {
  const Slot* const slot = Find(address, size);
  if (slot == nullptr) return std::nullopt;
  return slot->device->Read(
      {vcpu, address.value() - slot->range.base().value(), size});
}

std::optional<AfterWrite> MmioBus::Write(uint32_t vcpu, GuestAddress address,
                                         unsigned size, uint64_t value) const {
  const Slot* const slot = Find(address, size);
  if (slot == nullptr) return std::nullopt;
  return slot->device->Write(
      {vcpu, address.value() - slot->range.base().value(), size}, value);
}

}  // namespace vmm
