// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/park_region.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "absl/strings/str_format.h"
#include "psci-emul/park_abi.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

using psci::Index;
using psci::ParkFault;
using psci::VcpuId;

// A running vCPU hears a nudge at once.
constexpr std::chrono::seconds kArmDeadline(5);
// And how often those that have left meanwhile are counted out.
constexpr std::chrono::milliseconds kArmTick(1);
// As long as the proposal has a kernel wait for a CPU's magic.
constexpr int64_t kMagicDeadlineNs = 1'000'000'000;

constexpr GuestAddress operator+(GuestAddress address, uint64_t bytes) {
  return GuestAddress(address.value() + bytes);
}

constexpr GuestAddress PageOf(GuestAddress address) {
  return GuestAddress(address.value() & ~uint64_t{kParkUnit - 1});
}

// The smallest range around `range` that a watchpoint can have.
GuestRange WatchableAround(GuestRange range) {
  const uint64_t differs = range.base().value() ^ range.last().value();
  const uint64_t size = uint64_t{1} << std::bit_width(differs);
  return *GuestRange::Make(GuestAddress(range.base().value() & ~(size - 1)),
                           size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ParkRegion>> ParkRegion::Create(
    const ParkPlacement& placement, Machine machine) {
  ASSIGN_OR_RETURN(GuardedWindow window,
                   GuardedWindow::Make(machine.memory, placement.window));
  RETURN_IF_ERROR(window.SetWritable(placement.window, false));
  return std::unique_ptr<ParkRegion>(
      new ParkRegion(placement, std::move(window), std::move(machine)));
}

ParkRegion::ParkRegion(const ParkPlacement& placement, GuardedWindow window,
                       Machine machine)
    : placement_(placement),
      watched_(WatchableAround(placement.window)),
      machine_(std::move(machine)),
      window_(std::move(window)),
      pages_(placement.pages.size() / kParkUnit),
      cpus_(std::make_unique<Cpu[]>(machine_.power.size())),
      occupants_(placement.window.size() / GuardedWindow::HostPage()),
      closed_(occupants_.size(), true) {}

ParkRegion::Page* ParkRegion::Find(GuestAddress page) {
  if (!placement_.pages.Contains(page)) return nullptr;
  return &pages_[(page.value() - placement_.pages.base().value()) / kParkUnit];
}

GuestAddress ParkRegion::PageAt(size_t index) const {
  return placement_.pages.base() + index * kParkUnit;
}

size_t ParkRegion::HostIndex(GuestAddress address) const {
  return (address.value() - placement_.window.base().value()) /
         GuardedWindow::HostPage();
}

GuestRange ParkRegion::PagesOfAll() const {
  const uint64_t host = GuardedWindow::HostPage();
  const uint64_t bytes =
      (machine_.power.size() * kParkUnit + host - 1) / host * host;
  return *GuestRange::Make(placement_.pages.base(),
                           std::min(bytes, placement_.pages.size()));
}

GuestRange ParkRegion::HostPageOf(GuestAddress address) const {
  return *GuestRange::Make(
      placement_.window.base() + HostIndex(address) * GuardedWindow::HostPage(),
      GuardedWindow::HostPage());
}

void ParkRegion::Note(ParkFault fault, VcpuId who, GuestAddress place,
                      uint64_t value) {
  machine_.diagnoses.Note(fault, Index(who), place.value(), value);
}

// --- Watching ----------------------------------------------------------------

absl::Status ParkRegion::Watch(VcpuId self, Vcpu& vcpu) {
  RETURN_IF_ERROR(vcpu.WatchStores(watched_));
  const std::lock_guard lock(mutex_);
  cpus_[Index(self)].armed = true;
  changed_.notify_all();
  return absl::OkStatus();
}

// The guest prepares its pages. From here on no CPU runs without watching:
// whoever is in the guest is called out, whoever is off will see armed_.
absl::Status ParkRegion::AwaitArmed(VcpuId self, Vcpu& vcpu) {
  if (all_armed_) return absl::OkStatus();
  armed_ = true;
  RETURN_IF_ERROR(Watch(self, vcpu));
  std::unique_lock lock(mutex_);
  const auto end = std::chrono::steady_clock::now() + kArmDeadline;
  for (uint32_t i = 0; i < machine_.power.size(); ++i) {
    const auto awaited = [&] {
      return !cpus_[i].armed && !stopped_ &&
             machine_.power.StateOf(VcpuId{i}) == psci::PowerState::kOn;
    };
    if (awaited()) machine_.nudge(i);
    while (awaited()) {
      if (std::chrono::steady_clock::now() >= end) {
        return absl::InternalError(absl::StrFormat(
            "waited %d s for vCPU %d to leave the guest and watch its park "
            "page",
            kArmDeadline.count(), i));
      }
      changed_.wait_for(lock, kArmTick);
    }
  }
  all_armed_ = true;
  return absl::OkStatus();
}

// --- Stores ------------------------------------------------------------------

absl::StatusOr<ParkRegion::Outcome> ParkRegion::OnStore(VcpuId self, Vcpu& vcpu,
                                                        const VcpuExit& exit) {
  RETURN_IF_ERROR(AwaitArmed(self, vcpu));
  ASSIGN_OR_RETURN(const GuestStore store, ReadStore(vcpu, machine_.memory));
  const std::lock_guard lock(mutex_);
  if (store.data && placement_.window.Contains(store.data->address)) {
    return Apply(self, vcpu, store);
  }
  return LetThrough(self, vcpu, store,
                    std::holds_alternative<StoreRefused>(exit));
}

absl::StatusOr<ParkRegion::Outcome> ParkRegion::Apply(VcpuId self, Vcpu& vcpu,
                                                      const GuestStore& store) {
  Outcome outcome;
  ASSIGN_OR_RETURN(outcome.parks, ApplyOne(self, *store.code, *store.data));
  if (store.second && !outcome.parks) {
    ASSIGN_OR_RETURN(outcome.parks, ApplyOne(self, *store.code, *store.second));
  }
  if (!outcome.parks) RETURN_IF_ERROR(vcpu.WritePc(store.pc + 4));
  return outcome;
}

absl::StatusOr<bool> ParkRegion::ApplyOne(VcpuId self, GuestAddress code,
                                          const GuestStore::Data& data) {
  const auto& [address, size, value] = data;
  const GuestAddress page_address = PageOf(address);
  const uint64_t offset = address.value() - page_address.value();
  const bool is_magic =
      size == 8 && offset == PARK_PAGE_MAGIC && value == PARK_MAGIC;
  const bool is_exit = size == 8 && offset == PARK_PAGE_EXIT;
  // A CPU that parks runs the loop of a page; who stores a magic from
  // elsewhere does so in somebody's name.
  if (is_magic && placement_.window.Contains(code)) {
    RETURN_IF_ERROR(Enter(self, page_address));
    return true;
  }
  Page* const page = Find(page_address);
  if (page != nullptr && is_exit && value != 0 &&
      TakeExit(*page, page_address, value, self)) {
    return false;
  }
  window_.Store(address, size, value);
  if (page != nullptr && page->occupant != kNobody) {
    if (!is_magic && !is_exit) {
      Note(ParkFault::kPageRewritten, VcpuId{page->occupant}, page_address,
           value);
    }
    return false;
  }
  if (is_magic) Note(ParkFault::kMagicWithoutCpu, self, page_address, value);
  // Nobody is here, and more will follow: somebody wipes, or fills.
  RETURN_IF_ERROR(OpenVacant());
  return false;
}

// What it is, is not known; where it goes, neither.
absl::StatusOr<ParkRegion::Outcome> ParkRegion::LetThrough(
    VcpuId self, Vcpu& vcpu, const GuestStore& store, bool refused) {
  if (refused && HasClosedVacant()) {
    RETURN_IF_ERROR(OpenVacant());
    return Outcome{};  // If that was not it, it comes back.
  }
  return StepOver(self, vcpu, store);
}

absl::StatusOr<ParkRegion::Outcome> ParkRegion::StepOver(
    VcpuId self, Vcpu& vcpu, const GuestStore& store) {
  if (parked_ != 0) {
    closed_.assign(closed_.size(), false);
    RETURN_IF_ERROR(window_.SetWritable(placement_.window, true));
  }
  RETURN_IF_ERROR(vcpu.Step());
  const absl::StatusOr<VcpuExit> exit = vcpu.Run();
  RETURN_IF_ERROR(vcpu.WatchStores(watched_));
  if (parked_ != 0) RETURN_IF_ERROR(CloseOccupied());
  RETURN_IF_ERROR(exit.status());

  for (size_t i = 0; parked_ != 0 && i < pages_.size(); ++i) {
    Page& page = pages_[i];
    if (page.occupant == kNobody) continue;
    const GuestAddress address = PageAt(i);
    if (const uint64_t value = window_.Load(address + PARK_PAGE_EXIT)) {
      if (TakeExit(page, address, value, self)) {
        window_.Store(address + PARK_PAGE_EXIT, 0);
      }
    }
  }
  Outcome outcome;
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
    const Page* const page = Find(own);
    const bool taken = page != nullptr && page->occupant != kNobody;
    if (!taken && window_.Load(own + PARK_PAGE_MAGIC) == PARK_MAGIC) {
      RETURN_IF_ERROR(Enter(self, own));
      outcome.parks = true;
    }
  }
  return outcome;
}

// --- In ----------------------------------------------------------------------

absl::Status ParkRegion::Enter(VcpuId self, GuestAddress address) {
  machine_.events.ring(Index(self))
      .Push({.ns = machine_.clock.Now(),
             .vcpu = Index(self),
             .kind = Event::Kind::kParkStore,
             .arguments = 1,
             .args = {address.value()}});
  Cpu& cpu = cpus_[Index(self)];
  cpu.page.reset();
  cpu.announced = false;
  Page* const page = Find(address);
  if (page == nullptr) {
    Note(address < placement_.pages.base() ? ParkFault::kPageOfCpu0
                                           : ParkFault::kPagePastRegion,
         self, address, PARK_MAGIC);
    return absl::OkStatus();
  }
  if (page->occupant != kNobody) {
    Note(ParkFault::kPageShared, self, address, page->occupant);
    return absl::OkStatus();
  }
  const uint64_t loop = window_.Load(address + PARK_PAGE_TEXT);
  if (parked_ == 0) {
    loop_ = loop;
    first_park_ns_ = machine_.clock.Now();
  } else if (loop != loop_) {
    Note(ParkFault::kForeignLoop, self, address, loop);
  }
  *page = {.occupant = Index(self)};
  cpu.page = address;
  cpu.in_page = true;
  ++occupants_[HostIndex(address)];
  ++parked_;
  if (closed_[HostIndex(address)]) return absl::OkStatus();
  // The first one closes the door for all who come to a page of 4 KiB each.
  const GuestRange all = PagesOfAll();
  return Close(parked_ == 1 && all.Contains(address) ? all
                                                     : HostPageOf(address));
}

void ParkRegion::Announce(VcpuId self) {
  const std::lock_guard lock(mutex_);
  Cpu& cpu = cpus_[Index(self)];
  cpu.announced = true;
  if (!cpu.page) return;
  Page& page = *Find(*cpu.page);
  if (page.occupant != Index(self)) return;
  const GuestAddress address = *cpu.page;
  window_.Store(address + PARK_PAGE_MAGIC, PARK_MAGIC);
  if (const uint64_t exit = window_.Load(address + PARK_PAGE_EXIT)) {
    Note(ParkFault::kReleaseBeforePark, self, address, exit);
    window_.Store(address + PARK_PAGE_EXIT, 0);
    TakeExit(page, address, exit, self);
  }
}

// --- Out ---------------------------------------------------------------------

bool ParkRegion::TakeExit(Page& page, GuestAddress address, uint64_t exit,
                          VcpuId by) {
  if (page.occupant == kNobody) {
    // Nobody has come yet: it waits in the page.
    if (!page.released) return false;
    Note(ParkFault::kDoubleRelease, by, address, exit);
    return true;
  }
  const VcpuId cpu{page.occupant};
  if (const auto fault = machine_.judge(exit)) {
    Note(*fault, cpu, address, exit);
    return true;
  }
  machine_.events.ring(Index(by)).Push(
      {.ns = machine_.clock.Now(),
       .vcpu = Index(by),
       .kind = Event::Kind::kReleaseStore,
       .arguments = 3,
       .args = {static_cast<uint64_t>(machine_.power.MpidrOf(cpu)), exit,
                address.value()}});
  // It may run before Release() returns; then it finds nothing left to do.
  cpus_[Index(cpu)].in_page = false;
  if (!machine_.power.Release(cpu, psci::Door::kPage,
                              {exit, address.value()})) {
    if (!cpus_[Index(cpu)].announced) {  // On its way in: Announce() finds it.
      cpus_[Index(cpu)].in_page = true;
      return false;
    }
    Note(ParkFault::kDoubleRelease, by, address, exit);  // CPU_ON was first.
  }
  Vacate(page, address);
  return true;
}

void ParkRegion::Vacate(Page& page, GuestAddress address) {
  window_.Store(address + PARK_PAGE_MAGIC, 0);
  cpus_[page.occupant].page.reset();
  cpus_[page.occupant].in_page = false;
  page = {.released = true};
  --occupants_[HostIndex(address)];
  --parked_;
}

void ParkRegion::Leave(VcpuId self) {
  if (!cpus_[Index(self)].in_page) return;
  const std::lock_guard lock(mutex_);
  const auto address = cpus_[Index(self)].page;
  if (address) Vacate(*Find(*address), *address);
}

// --- The window --------------------------------------------------------------

bool ParkRegion::HasClosedVacant() const {
  for (size_t i = 0; i < closed_.size(); ++i) {
    if (closed_[i] && occupants_[i] == 0) return true;
  }
  return false;
}

// One call for each run of pages: a call costs more than the exit it spares.
absl::Status ParkRegion::OpenVacant() {
  if (parked_ == 0) {
    if (!HasClosedVacant()) return absl::OkStatus();
    closed_.assign(closed_.size(), false);
    return window_.SetWritable(placement_.window, true);
  }
  const uint64_t page = GuardedWindow::HostPage();
  for (size_t i = 0; i < closed_.size();) {
    size_t end = i;
    while (end < closed_.size() && closed_[end] && occupants_[end] == 0) {
      closed_[end++] = false;
    }
    if (end > i) {
      RETURN_IF_ERROR(window_.SetWritable(
          *GuestRange::Make(placement_.window.base() + i * page,
                            (end - i) * page),
          true));
    }
    i = end + 1;
  }
  return absl::OkStatus();
}

absl::Status ParkRegion::Close(GuestRange part) {
  for (size_t i = HostIndex(part.base()); i <= HostIndex(part.last()); ++i) {
    closed_[i] = true;
  }
  return window_.SetWritable(part, false);
}

absl::Status ParkRegion::CloseOccupied() {
  const uint64_t page = GuardedWindow::HostPage();
  for (size_t i = 0; i < occupants_.size();) {
    size_t end = i;
    while (end < occupants_.size() && occupants_[end] != 0) ++end;
    if (end > i) {
      RETURN_IF_ERROR(Close(*GuestRange::Make(
          placement_.window.base() + i * page, (end - i) * page)));
    }
    i = end + 1;
  }
  return absl::OkStatus();
}

// --- From outside ------------------------------------------------------------

void ParkRegion::Inspect() {
  if (!all_armed_) return;
  const std::lock_guard lock(mutex_);
  const bool overdue =
      parked_ != 0 && machine_.clock.Now() - first_park_ns_ > kMagicDeadlineNs;
  const std::vector<bool> touched = window_.Touched();
  for (size_t i = 0; i < pages_.size(); ++i) {
    Page& page = pages_[i];
    const GuestAddress address = PageAt(i);
    const size_t host = HostIndex(address);
    if (page.occupant != kNobody || page.noted || host >= touched.size() ||
        !touched[host]) {
      continue;
    }
    const uint64_t magic = window_.Load(address + PARK_PAGE_MAGIC);
    const uint64_t loop = window_.Load(address + PARK_PAGE_TEXT);
    const uint64_t exit = window_.Load(address + PARK_PAGE_EXIT);
    if (page.released && exit != 0) {
      // Stored where nobody saw it. It must not release the next CPU.
      Note(ParkFault::kDoubleRelease, VcpuId{0}, address, exit);
      window_.Store(address + PARK_PAGE_EXIT, 0);
    } else if (magic == PARK_MAGIC) {
      page.noted = true;
      Note(ParkFault::kMagicWithoutCpu, VcpuId{0}, address, magic);
    } else if (overdue && loop != 0 && loop == loop_ && !page.released) {
      page.noted = true;
      Note(ParkFault::kCpuWithoutMagic, VcpuId{0}, address, loop);
    }
  }
}

void ParkRegion::Shutdown() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace vmm
