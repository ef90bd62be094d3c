// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/park_slots.h"

namespace psci {

// The two forms of a page agree where they have the same.
static_assert(PARK_REG_EXIT == PARK_PAGE_EXIT);
static_assert(PARK_REG_MAGIC == PARK_PAGE_MAGIC);
static_assert(PARK_REG_STATUS + 8 <= PARK_DEVICE_STRIDE);
static_assert(PARK_DEVICE_STRIDE == 4096, "whatever the guest's page size");

std::optional<ParkSlots::Place> ParkSlots::Find(uint64_t offset,
                                                unsigned size) const {
  const uint64_t index = offset / PARK_DEVICE_STRIDE;
  if (size != 8 || offset % 8 != 0 || index >= power_.size()) {
    return std::nullopt;
  }
  return Place{VcpuId{static_cast<uint32_t>(index)},
               offset % PARK_DEVICE_STRIDE};
}

uint64_t ParkSlots::State(VcpuId owner) const {
  switch (power_.StateOf(owner)) {
    case PowerState::kOff:
      return power_.IsParked(owner, Door::kDevice) ? PARK_STATE_PARKED
                                                   : PARK_STATE_OFF;
    case PowerState::kClaimed:
    case PowerState::kOnPending:
      return PARK_STATE_STARTING;
    case PowerState::kOn:
      break;
  }
  return PARK_STATE_RUNNING;
}

uint64_t ParkSlots::Read(uint64_t offset, unsigned size) const {
  const auto place = Find(offset, size);
  if (!place) return 0;
  const Slot& slot = slots_[Index(place->owner)];
  switch (place->reg) {
    case PARK_REG_MAGIC:
      return power_.IsParked(place->owner, Door::kDevice) ? PARK_MAGIC : 0;
    case PARK_REG_VERSION:
      return PARK_DEVICE_VERSION;
    case PARK_REG_MPIDR:
      return static_cast<uint64_t>(power_.MpidrOf(place->owner));
    case PARK_REG_STATE:
      return State(place->owner);
    case PARK_REG_GENERATION:
      return slot.generation.load(std::memory_order_acquire);
    case PARK_REG_ACK:
      return slot.ack.load(std::memory_order_acquire);
    case PARK_REG_CONTEXT:
      return slot.context.load(std::memory_order_relaxed);
    case PARK_REG_STATUS:
      return slot.status.load(std::memory_order_relaxed);
    default:
      return 0;
  }
}

SlotOutcome ParkSlots::Write(VcpuId self, uint64_t offset, unsigned size,
                             uint64_t value) {
  const auto place = Find(offset, size);
  if (!place) return Stored{};
  switch (place->reg) {
    case PARK_REG_EXIT:
      return Release(place->owner, value);
    case PARK_REG_MAGIC:
      return Park(self, place->owner, value);
    case PARK_REG_CONTEXT:
      slots_[Index(place->owner)].context.store(value,
                                                std::memory_order_relaxed);
      return Stored{};
    default:
      return Stored{};
  }
}

SlotOutcome ParkSlots::Refuse(VcpuId owner, uint64_t status, ParkFault fault) {
  slots_[Index(owner)].status.store(status, std::memory_order_relaxed);
  return Refused{fault};
}

SlotOutcome ParkSlots::Park(VcpuId self, VcpuId owner, uint64_t magic) {
  if (self != owner) {
    return Refuse(owner, PARK_STATUS_FOREIGN_SLOT, ParkFault::kForeignSlot);
  }
  if (magic != PARK_MAGIC) {
    return Refuse(owner, PARK_STATUS_BAD_MAGIC, ParkFault::kBadMagic);
  }
  Slot& slot = slots_[Index(self)];
  slot.context.store(0, std::memory_order_relaxed);
  slot.status.store(PARK_STATUS_OK, std::memory_order_relaxed);
  slot.generation.fetch_add(1, std::memory_order_release);
  return ParkSelf{};
}

SlotOutcome ParkSlots::Release(VcpuId owner, uint64_t entry) {
  if (const auto fault = judge_(entry)) {
    return Refuse(owner, PARK_STATUS_BAD_ENTRY, *fault);
  }
  Slot& slot = slots_[Index(owner)];
  const uint64_t context = slot.context.load(std::memory_order_relaxed);
  if (!power_.Release(owner, Door::kDevice, {entry, context})) {
    return Refuse(owner, PARK_STATUS_NOT_PARKED,
                  ParkFault::kReleaseOfNotParked);
  }
  slot.status.store(PARK_STATUS_OK, std::memory_order_relaxed);
  return Released{static_cast<uint64_t>(power_.MpidrOf(owner)), entry};
}

void ParkSlots::Entered(VcpuId self) {
  Slot& slot = slots_[Index(self)];
  slot.ack.store(slot.generation.load(std::memory_order_relaxed),
                 std::memory_order_release);
}

}  // namespace psci
