// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/host_parking.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "psci-emul/park_abi.h"
#include "vmm/base/status_macros.h"
#include "vmm/park/page_address.h"

namespace vmm {
namespace {

using psci::Index;
using psci::ParkFault;
using psci::ParkPages;
using psci::VcpuId;

// How long the first CPU to park waits for another one. A kernel that sends
// all CPUs away at once fills this time; one that sends one at a time has time.
constexpr std::chrono::microseconds kGather(100);
constexpr int kGatherings = 50;  // Then it waits no more, whoever comes.

}  // namespace

absl::StatusOr<std::unique_ptr<HostParking>> HostParking::Create(
    const ParkPlacement& placement, Deps deps) {
  ASSIGN_OR_RETURN(GuardedWindow window,
                   GuardedWindow::Make(deps.memory, placement.window));
  RETURN_IF_ERROR(window.SetWritable(placement.window, false));
  return std::unique_ptr<HostParking>(
      new HostParking(placement, std::move(window), std::move(deps)));
}

HostParking::HostParking(const ParkPlacement& placement, GuardedWindow window,
                         Deps deps)
    : placement_(placement),
      deps_(std::move(deps)),
      map_(placement.window, GuardedWindow::HostPage()),
      window_(std::move(window)),
      watchers_(placement.window, {.power = deps_.power,
                                   .nudge = deps_.vcpus.nudge,
                                   .must_watch = must_watch_}),
      in_page_(std::make_unique<std::atomic<bool>[]>(deps_.power.size())),
      turn_(deps_.vcpus.nudge, stopped_, changed_),
      pages_(deps_.power.size(), placement.pages.size() / kParkUnit),
      blocks_(map_) {}

std::optional<size_t> HostParking::Find(GuestAddress page) const {
  if (!placement_.pages.Contains(page)) return std::nullopt;
  return (page.value() - placement_.pages.base().value()) / kParkUnit;
}

GuestAddress HostParking::PageAt(size_t index) const {
  return At(placement_.pages.base(), index * kParkUnit);
}

void HostParking::Note(ParkFault fault, VcpuId who, GuestAddress place,
                       uint64_t value) {
  deps_.diagnoses.Note(fault, Index(who), place.value(), value);
}

void HostParking::Record(Event::Kind kind, VcpuId thread, VcpuId who,
                         absl::Span<const uint64_t> args) {
  Event event = {.ns = deps_.clock.Now(),
                 .vcpu = Index(who),
                 .kind = kind,
                 .arguments = static_cast<uint8_t>(args.size())};
  std::copy(args.begin(), args.end(), event.args.begin());
  deps_.events.ring(Index(thread)).Push(event);
}

absl::Status HostParking::WatchBeforeRun(VcpuId self, Vcpu& vcpu) {
  if (!watchers_.NeedsWatch(self)) return absl::OkStatus();
  return watchers_.Watch(self, vcpu);
}

absl::Status HostParking::WhileOff(VcpuId self, Vcpu& vcpu) {
  return watchers_.EndWatch(self, vcpu);
}

// --- In ----------------------------------------------------------------------

HostParking::StoreOutcome HostParking::Enter(VcpuId self,
                                             GuestAddress address) {
  constexpr StoreOutcome kParks = {.parks = true};
  Record(Event::Kind::kParkStore, self, self, {address.value()});
  LeavePage(self);
  const std::optional<size_t> page = Find(address);
  if (!page) {
    pages_.EnterBeside(self);
    Note(address < placement_.pages.base() ? ParkFault::kPageOfCpu0
                                           : ParkFault::kPagePastRegion,
         self, address, PARK_MAGIC);
    return kParks;
  }
  const ParkPages::Arrival arrival =
      pages_.Enter(self, *page, window_.Load(At(address, PARK_PAGE_TEXT)));
  if (arrival.occupies) Occupy(self, address);
  if (arrival.fault) Note(*arrival.fault, self, address, arrival.value);
  return kParks;
}

void HostParking::Occupy(VcpuId self, GuestAddress address) {
  if (pages_.parked() == 1) first_park_ns_ = deps_.clock.Now();
  blocks_.Occupy(address);
  in_page_[Index(self)] = true;
}

// Before the guest can see the magic, its page is closed. The first CPU that is
// off does it for all that come meanwhile: closing takes KVM's lock on its page
// tables, and a CPU about to enter its loop would spin on that lock.
absl::Status HostParking::Left(VcpuId self, psci::Door door) {
  if (door != psci::Door::kPage) return absl::OkStatus();
  const MutexLock lock(mutex_);
  pages_.TurnedOff(self);
  ++arrivals_;
  while (turn_.IsTaken() && !closing_ && !stopped_) turn_.AwaitChange(mutex_);
  if (stopped_) return absl::OkStatus();
  if (closing_) {
    if (AllHaveCome()) changed_.NotifyAll();
    return absl::OkStatus();
  }
  turn_.Take();
  closing_ = true;
  uint64_t seen = 0;
  for (int i = 0; i < kGatherings && seen != arrivals_; ++i) {
    if (AllHaveCome() || stopped_) break;
    seen = arrivals_;
    changed_.WaitFor(mutex_, kGather);
  }
  absl::Status status = CloseForNewcomers(self);
  closing_ = false;
  turn_.End();
  return status;
}

absl::Status HostParking::CloseForNewcomers(VcpuId self) {
  for (;;) {
    const std::vector<VcpuId> newcomers = pages_.Unannounced();
    if (newcomers.empty()) return absl::OkStatus();
    Blocks blocks;
    for (const VcpuId cpu : newcomers) {
      if (const auto page = pages_.PageOf(cpu)) {
        blocks.set(map_.BlockOf(PageAt(*page)));
      }
    }
    blocks = AllHaveCome() ? map_.all() : blocks & blocks_.writable();
    RETURN_IF_ERROR(SetWritableUnlocked(blocks, false));
    HasClosed(blocks);
    for (const VcpuId cpu : newcomers) RETURN_IF_ERROR(Announce(self, cpu));
  }
}

absl::Status HostParking::Announce(VcpuId self, VcpuId cpu) {
  const std::optional<size_t> page = pages_.Announce(cpu);
  if (!page) return absl::OkStatus();
  const GuestAddress address = PageAt(*page);
  window_.Store(At(address, PARK_PAGE_MAGIC), PARK_MAGIC);
  if (const uint64_t exit = window_.Load(At(address, PARK_PAGE_EXIT))) {
    Note(ParkFault::kReleaseBeforePark, cpu, address, exit);
    window_.Store(At(address, PARK_PAGE_EXIT), 0);
    return TakeExit(self, cpu, *page, exit).status();
  }
  return absl::OkStatus();
}

// --- Out ---------------------------------------------------------------------

absl::StatusOr<bool> HostParking::TakeExit(VcpuId self, VcpuId by, size_t page,
                                           uint64_t exit) {
  const psci::ExitOutcome outcome = pages_.OnExit(page, deps_.judge(exit));
  if (const auto* const refused = std::get_if<psci::ExitRefused>(&outcome)) {
    Note(refused->fault, refused->cpu.value_or(by), PageAt(page), exit);
    return true;
  }
  if (const auto* const releases = std::get_if<psci::ExitReleases>(&outcome)) {
    return Release(self, by, page, releases->cpu, exit);
  }
  return false;
}

absl::StatusOr<bool> HostParking::Release(VcpuId self, VcpuId by, size_t page,
                                          VcpuId cpu, uint64_t exit) {
  const uint64_t address = PageAt(page).value();
  Record(Event::Kind::kReleaseStore, self, by,
         {static_cast<uint64_t>(deps_.power.MpidrOf(cpu)), exit, address});
  // Closing takes longer than starting a CPU, and what is open is vacant, so
  // the CPU's own page is closed: it need not wait for that, nor watch.
  const Blocks open = blocks_.writable();
  HasClosed(open);
  // It may run before Release() returns; then it finds nothing left to do.
  in_page_[Index(cpu)] = false;
  const bool started =
      deps_.power.Release(cpu, psci::Door::kPage, {exit, address});
  const ParkPages::AfterRelease after = pages_.Released(page, started);
  if (after == ParkPages::AfterRelease::kWaits) {
    in_page_[Index(cpu)] = true;  // On its way in: Announce() finds the exit.
  } else {
    Vacated(page);
    if (!started) Note(ParkFault::kDoubleRelease, by, PageAt(page), exit);
  }
  RETURN_IF_ERROR(SetWritableUnlocked(open, false));
  return after != ParkPages::AfterRelease::kWaits;
}

void HostParking::Vacated(size_t page) {
  const GuestAddress address = PageAt(page);
  window_.Store(At(address, PARK_PAGE_MAGIC), 0);
  blocks_.Vacate(address);
}

void HostParking::Entered(VcpuId self) {
  deps_.slots.Entered(self);
  if (!in_page_[Index(self)]) return;
  const MutexLock lock(mutex_);
  LeavePage(self);
}

// A kernel that takes a CPU from its page wipes the page; one that calls CPU_ON
// may not know of pages. The next kernel must not find a loop where no CPU is;
// but what was put there meanwhile is the guest's.
void HostParking::LeavePage(VcpuId self) {
  const auto departure = pages_.Leave(self);
  in_page_[Index(self)] = false;
  if (!departure) return;
  Vacated(departure->page);
  const GuestAddress text = At(PageAt(departure->page), PARK_PAGE_TEXT);
  if (window_.Load(text) == departure->loop) window_.Store(text, 0);
}

void HostParking::HasClosed(const Blocks& blocks) {
  blocks_.Close(blocks);
  if (blocks_.NoneWritable()) watchers_.AllClosed();
}

// --- From outside ------------------------------------------------------------

bool HostParking::Inspect() {
  const MutexLock lock(mutex_);
  turn_.EndLongStep();
  const bool parked = pages_.parked() != 0;
  if (blocks_.NoneWritable() && !parked) return turn_.IsTaken();
  const bool overdue =
      parked && deps_.clock.Now() - first_park_ns_ > kMagicDeadlineNs;
  const std::vector<bool> touched = window_.Touched();
  for (size_t page = 0; page < pages_.size(); ++page) {
    if (!pages_.IsWorthALook(page)) continue;
    const GuestAddress address = PageAt(page);
    const size_t host = (address.value() - placement_.window.base().value()) /
                        GuardedWindow::HostPage();
    if (host >= touched.size() || !touched[host]) continue;
    const auto finding =
        pages_.Inspect(page,
                       {.exit = window_.Load(At(address, PARK_PAGE_EXIT)),
                        .magic = window_.Load(At(address, PARK_PAGE_MAGIC)),
                        .loop = window_.Load(At(address, PARK_PAGE_TEXT))},
                       overdue);
    if (!finding) continue;
    Note(finding->fault, VcpuId{0}, address, finding->value);
    if (finding->clears_exit) window_.Store(At(address, PARK_PAGE_EXIT), 0);
  }
  return true;
}

void HostParking::RequestStop() {
  stopped_ = true;
  changed_.NotifyAll();
  watchers_.RequestStop();
}

}  // namespace vmm
