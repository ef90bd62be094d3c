// SPDX-License-Identifier: Apache-2.0
// The part of HostParking that does the guest's stores to the window.
#include <variant>

#include "psci-emul/park_abi.h"
#include "vmm/base/status_macros.h"
#include "vmm/park/host_parking.h"
#include "vmm/park/page_address.h"

namespace vmm {
namespace {

using psci::ParkFault;
using psci::VcpuId;

}  // namespace

absl::StatusOr<Parking::StoreOutcome> HostParking::OnStore(
    VcpuId self, Vcpu& vcpu, const VcpuExit& exit) {
  deps_.events.WakeIfAsleep();  // There is something for Inspect() now.
  ASSIGN_OR_RETURN(
      const GuestStore store,
      ReadStore(vcpu, exit, deps_.memory, placement_.window, kParkUnit));
  if (IsMagicOf(store)) {
    const MutexLock lock(mutex_);
    return Enter(self, PageOf(store.data->address));
  }
  if (store.data && placement_.window.Contains(store.data->address)) {
    return Apply(self, vcpu, store);
  }
  return LetThrough(self, vcpu, store,
                    std::holds_alternative<StoreRefused>(exit));
}

// A CPU that parks runs the loop of a page; one that stores a magic from
// elsewhere does so in another CPU's name.
bool HostParking::IsMagicOf(const GuestStore& store) const {
  const auto parks = [this](const std::optional<GuestStore::Data>& data) {
    return data && data->size == 8 && data->value == PARK_MAGIC &&
           data->address == At(PageOf(data->address), PARK_PAGE_MAGIC) &&
           placement_.window.Contains(data->address);
  };
  return store.code && placement_.window.Contains(*store.code) &&
         (parks(store.data) || parks(store.second));
}

// --- Stores that were decoded
// --------------------------------------------------

absl::StatusOr<Parking::StoreOutcome> HostParking::Apply(
    VcpuId self, Vcpu& vcpu, const GuestStore& store) {
  absl::StatusOr<bool> vacant = false;
  {
    const MutexLock lock(mutex_);
    if (!turn_.Begin(mutex_)) return StoreOutcome{};
    vacant = ApplyBoth(self, store);
    turn_.End();
  }
  RETURN_IF_ERROR(vacant.status());
  RETURN_IF_ERROR(vcpu.WritePc(store.pc + 4));
  // No CPU is there, and more stores will follow: the guest wipes, or fills.
  if (*vacant) {
    RETURN_IF_ERROR(OpenVacant(self, vcpu, store.data->address).status());
  }
  return StoreOutcome{};
}

absl::StatusOr<bool> HostParking::ApplyBoth(VcpuId self,
                                            const GuestStore& store) {
  ASSIGN_OR_RETURN(bool vacant, ApplyOne(self, *store.data));
  if (store.second) {
    ASSIGN_OR_RETURN(const bool also, ApplyOne(self, *store.second));
    vacant = vacant || also;
  }
  return vacant;
}

absl::StatusOr<bool> HostParking::ApplyOne(VcpuId self,
                                           const GuestStore::Data& data) {
  const auto& [address, size, value] = data;
  const GuestAddress page_address = PageOf(address);
  const uint64_t offset = address.value() - page_address.value();
  const bool is_magic =
      size == 8 && offset == PARK_PAGE_MAGIC && value == PARK_MAGIC;
  const bool is_exit = size == 8 && offset == PARK_PAGE_EXIT;
  const std::optional<size_t> page = Find(page_address);
  if (page && is_exit && value != 0) {
    ASSIGN_OR_RETURN(const bool taken, TakeExit(self, self, *page, value));
    if (taken) return false;
  }
  window_.Store(address, size, value);
  if (const auto occupant = page ? pages_.OccupantOf(*page) : std::nullopt) {
    if (!is_magic && !is_exit) {
      Note(ParkFault::kPageRewritten, *occupant, page_address, value);
    }
    return false;
  }
  if (is_magic) Note(ParkFault::kMagicWithoutCpu, self, page_address, value);
  return true;
}

// --- Stores that were not
// ------------------------------------------------------

absl::StatusOr<Parking::StoreOutcome> HostParking::LetThrough(
    VcpuId self, Vcpu& vcpu, const GuestStore& store, bool refused) {
  bool opens = refused;
  if (!opens) {
    const MutexLock lock(mutex_);
    opens = blocks_.NoneWritable();
  }
  if (opens) {
    ASSIGN_OR_RETURN(const bool opened, OpenVacant(self, vcpu, store.target));
    // If the store was to another block, it comes back.
    if (opened) return StoreOutcome{};
  }
  const MutexLock lock(mutex_);
  if (!turn_.Begin(mutex_)) return StoreOutcome{};
  absl::StatusOr<StoreOutcome> outcome = StepOver(self, vcpu, store);
  turn_.End();
  return outcome;
}

absl::StatusOr<VcpuExit> HostParking::RunOneInstruction(VcpuId self, Vcpu& vcpu,
                                                        const Blocks& closed) {
  RETURN_IF_ERROR(SetWritable(closed, true));
  RETURN_IF_ERROR(vcpu.Step());
  absl::StatusOr<VcpuExit> exit = vcpu.Run();
  RETURN_IF_ERROR(watchers_.Restore(self, vcpu));
  RETURN_IF_ERROR(SetWritable(closed, false));
  return exit;
}

absl::Status HostParking::TakeStoredExits(VcpuId self) {
  for (size_t i = 0; pages_.parked() != 0 && i < pages_.size(); ++i) {
    if (!pages_.OccupantOf(i)) continue;
    const GuestAddress exit = At(PageAt(i), PARK_PAGE_EXIT);
    if (const uint64_t value = window_.Load(exit)) {
      ASSIGN_OR_RETURN(const bool taken, TakeExit(self, self, i, value));
      if (taken) window_.Store(exit, 0);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Parking::StoreOutcome> HostParking::StepOver(
    VcpuId self, Vcpu& vcpu, const GuestStore& store) {
  const Blocks closed = blocks_.NotWritable();
  turn_.BeginStep(self);
  mutex_.unlock();
  const absl::StatusOr<VcpuExit> exit = RunOneInstruction(self, vcpu, closed);
  mutex_.lock();
  turn_.EndStep();
  RETURN_IF_ERROR(exit.status());
  RETURN_IF_ERROR(TakeStoredExits(self));
  StoreOutcome outcome;
  if (std::holds_alternative<StoreRefused>(*exit)) {
    return absl::InternalError(
        "KVM_RUN: Bad address, though the park region is writable");
  }
  const auto* const stop = std::get_if<DebugStop>(&*exit);
  if (stop == nullptr || stop->kind != DebugStop::Kind::kStepped) {
    // Not this instruction, or more than it: as if it had come by itself.
    outcome.then = *exit;
    return outcome;
  }
  if (store.code && placement_.window.Contains(*store.code)) {
    const GuestAddress own = PageOf(*store.code);
    const auto page = Find(own);
    const bool taken = page && pages_.OccupantOf(*page);
    if (!taken && window_.Load(At(own, PARK_PAGE_MAGIC)) == PARK_MAGIC) {
      return Enter(self, own);
    }
  }
  return outcome;
}

// --- The window --------------------------------------------------------------

absl::Status HostParking::SetWritable(const Blocks& blocks, bool writable) {
  for (const GuestRange range : map_.RangesOf(blocks)) {
    RETURN_IF_ERROR(window_.SetWritable(range, writable));
  }
  return absl::OkStatus();
}

absl::Status HostParking::SetWritableUnlocked(const Blocks& blocks,
                                              bool writable) {
  mutex_.unlock();
  absl::Status status = SetWritable(blocks, writable);
  mutex_.lock();
  return status;
}

absl::StatusOr<bool> HostParking::OpenVacant(
    VcpuId self, Vcpu& vcpu, std::optional<GuestAddress> target) {
  bool must_wait = false;
  {
    const MutexLock lock(mutex_);
    if (blocks_.ToOpen(target).none()) return false;
    watchers_.BeginOpening();
    must_wait = blocks_.NoneWritable();
  }
  absl::Status status =
      must_wait ? watchers_.AwaitAll(self, vcpu) : absl::OkStatus();
  const MutexLock lock(mutex_);
  if (status.ok() && turn_.Begin(mutex_)) {
    const Blocks blocks = blocks_.ToOpen(target);
    blocks_.Open(blocks);
    status = SetWritableUnlocked(blocks, true);
    turn_.End();
  }
  watchers_.EndOpening(!blocks_.NoneWritable());
  RETURN_IF_ERROR(status);
  return true;
}

}  // namespace vmm
