// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/park_region.h"

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
constexpr std::chrono::seconds kWatchDeadline(5);
// How often a wait looks whether it is over without having been notified. A
// stop takes no lock, so a waiter may miss its notification.
constexpr std::chrono::milliseconds kTick(1);
// How long the first CPU to park waits for another one. Who sends them away
// sends all at once; who sends one at a time has time.
constexpr std::chrono::microseconds kGather(100);
constexpr int kGatherings = 50;  // Then it waits no more, whoever comes.
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

// A window has room for 512 CPUs' pages, whose size is the guest's, and is a
// multiple of 64 KiB: so this ends at 64 KiB, or before.
uint64_t BlockBytes(GuestRange window, size_t max_blocks) {
  uint64_t bytes = GuardedWindow::HostPage();
  while (window.size() / bytes > max_blocks) bytes *= 2;
  return bytes;
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
      block_bytes_(BlockBytes(placement.window, kMaxBlocks)),
      machine_(std::move(machine)),
      window_(std::move(window)),
      flags_(std::make_unique<Flags[]>(machine_.power.size())),
      pages_(placement.pages.size() / kParkUnit),
      cpus_(machine_.power.size()),
      occupants_(placement.window.size() / block_bytes_) {
  for (size_t i = 0; i < occupants_.size(); ++i) all_blocks_.set(i);
}

ParkRegion::Page* ParkRegion::Find(GuestAddress page) {
  if (!placement_.pages.Contains(page)) return nullptr;
  return &pages_[(page.value() - placement_.pages.base().value()) / kParkUnit];
}

GuestAddress ParkRegion::PageAt(size_t index) const {
  return placement_.pages.base() + index * kParkUnit;
}

size_t ParkRegion::BlockOf(GuestAddress address) const {
  return (address.value() - placement_.window.base().value()) / block_bytes_;
}

void ParkRegion::Note(ParkFault fault, VcpuId who, GuestAddress place,
                      uint64_t value) {
  machine_.diagnoses.Note(fault, Index(who), place.value(), value);
}

// --- Watching ----------------------------------------------------------------

absl::Status ParkRegion::Watch(VcpuId self, Vcpu& vcpu) {
  RETURN_IF_ERROR(vcpu.WatchStores(watched_));
  const MutexLock lock(mutex_);
  flags_[Index(self)].watches = true;
  changed_.NotifyAll();
  return absl::OkStatus();
}

// Nobody waits for a CPU that is off.
absl::Status ParkRegion::EndWatch(VcpuId self, Vcpu& vcpu) {
  if (!flags_[Index(self)].watches) return absl::OkStatus();
  {
    const MutexLock lock(mutex_);
    flags_[Index(self)].watches = false;
  }
  return vcpu.EndDebug();
}

bool ParkRegion::IsAwaited(uint32_t cpu) const {
  return !flags_[cpu].watches && !stopped_ &&
         machine_.power.StateOf(VcpuId{cpu}) == psci::PowerState::kOn;
}

// Pages are about to be opened. From here on no CPU runs without watching:
// whoever is in the guest is called out, whoever is off will see must_watch_.
absl::Status ParkRegion::AwaitWatchers(VcpuId self, Vcpu& vcpu) {
  must_watch_ = true;
  if (!flags_[Index(self)].watches) {
    mutex_.unlock();
    const absl::Status watches = Watch(self, vcpu);
    mutex_.lock();
    RETURN_IF_ERROR(watches);
  }
  const auto end = std::chrono::steady_clock::now() + kWatchDeadline;
  for (uint32_t i = 0; i < machine_.power.size(); ++i) {
    if (IsAwaited(i)) machine_.nudge(i);
    while (IsAwaited(i)) {
      if (std::chrono::steady_clock::now() >= end) {
        return absl::InternalError(absl::StrFormat(
            "waited %d s for vCPU %d to leave the guest and watch its park "
            "page",
            kWatchDeadline.count(), i));
      }
      changed_.WaitFor(mutex_, kTick);
    }
  }
  return absl::OkStatus();
}

// --- Who is busy with the window ---------------------------------------------

void ParkRegion::AwaitChange() {
  changed_.WaitFor(mutex_, kTick);
  EndLongStep();
}

// The guest chooses the instruction that is stepped over, and can make it last
// for ever. Called out of the guest, its vCPU comes back to the same one.
void ParkRegion::EndLongStep() {
  if (stepper_ && std::chrono::steady_clock::now() - step_began_ >= kTick) {
    machine_.nudge(*stepper_);
  }
}

bool ParkRegion::BeginWork() {
  while (busy_ && !stopped_) AwaitChange();
  if (stopped_) return false;
  busy_ = true;
  return true;
}

void ParkRegion::EndWork() {
  busy_ = false;
  changed_.NotifyAll();
}

absl::Status ParkRegion::SetWritableUnlocked(const Blocks& blocks,
                                             bool writable) {
  mutex_.unlock();
  absl::Status status = SetWritable(blocks, writable);
  mutex_.lock();
  return status;
}

// --- Stores ------------------------------------------------------------------

absl::StatusOr<ParkRegion::Outcome> ParkRegion::OnStore(VcpuId self, Vcpu& vcpu,
                                                        const VcpuExit& exit) {
  ASSIGN_OR_RETURN(
      const GuestStore store,
      ReadStore(vcpu, exit, machine_.memory, placement_.window, kParkUnit));
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

// A CPU that parks runs the loop of a page; who stores a magic from elsewhere
// does so in somebody's name.
bool ParkRegion::IsMagicOf(const GuestStore& store) const {
  const auto parks = [this](const std::optional<GuestStore::Data>& data) {
    return data && data->size == 8 && data->value == PARK_MAGIC &&
           data->address == PageOf(data->address) + PARK_PAGE_MAGIC &&
           placement_.window.Contains(data->address);
  };
  return store.code && placement_.window.Contains(*store.code) &&
         (parks(store.data) || parks(store.second));
}

absl::StatusOr<ParkRegion::Outcome> ParkRegion::Apply(VcpuId self, Vcpu& vcpu,
                                                      const GuestStore& store) {
  absl::StatusOr<bool> vacant = false;
  {
    const MutexLock lock(mutex_);
    if (!BeginWork()) return Outcome{};
    vacant = ApplyBoth(self, store);
    EndWork();
  }
  RETURN_IF_ERROR(vacant.status());
  RETURN_IF_ERROR(vcpu.WritePc(store.pc + 4));
  // Nobody is there, and more will follow: somebody wipes, or fills.
  if (*vacant) {
    RETURN_IF_ERROR(OpenVacant(self, vcpu, store.data->address).status());
  }
  return Outcome{};
}

absl::StatusOr<bool> ParkRegion::ApplyBoth(VcpuId self,
                                           const GuestStore& store) {
  ASSIGN_OR_RETURN(bool vacant, ApplyOne(self, *store.data));
  if (store.second) {
    ASSIGN_OR_RETURN(const bool also, ApplyOne(self, *store.second));
    vacant = vacant || also;
  }
  return vacant;
}

absl::StatusOr<bool> ParkRegion::ApplyOne(VcpuId self,
                                          const GuestStore::Data& data) {
  const auto& [address, size, value] = data;
  const GuestAddress page_address = PageOf(address);
  const uint64_t offset = address.value() - page_address.value();
  const bool is_magic =
      size == 8 && offset == PARK_PAGE_MAGIC && value == PARK_MAGIC;
  const bool is_exit = size == 8 && offset == PARK_PAGE_EXIT;
  const Page* const page = Find(page_address);
  if (page != nullptr && is_exit && value != 0) {
    ASSIGN_OR_RETURN(const bool taken,
                     TakeExit(self, self, page_address, value));
    if (taken) return false;
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
  return true;
}

// Handles a store that cannot be decoded.
absl::StatusOr<ParkRegion::Outcome> ParkRegion::LetThrough(
    VcpuId self, Vcpu& vcpu, const GuestStore& store, bool refused) {
  bool opens = refused;
  if (!opens) {
    const MutexLock lock(mutex_);
    opens = writable_.none();
  }
  if (opens) {
    ASSIGN_OR_RETURN(const bool opened, OpenVacant(self, vcpu, store.target));
    if (opened) return Outcome{};  // If that was not it, it comes back.
  }
  const MutexLock lock(mutex_);
  if (!BeginWork()) return Outcome{};
  absl::StatusOr<Outcome> outcome = StepOver(self, vcpu, store);
  EndWork();
  return outcome;
}

absl::StatusOr<VcpuExit> ParkRegion::RunOneInstruction(VcpuId self, Vcpu& vcpu,
                                                       const Blocks& closed) {
  RETURN_IF_ERROR(SetWritable(closed, true));
  RETURN_IF_ERROR(vcpu.Step());
  absl::StatusOr<VcpuExit> exit = vcpu.Run();
  RETURN_IF_ERROR(flags_[Index(self)].watches ? vcpu.WatchStores(watched_)
                                              : vcpu.EndDebug());
  RETURN_IF_ERROR(SetWritable(closed, false));
  return exit;
}

// Takes what was stored to the exits of pages while nobody could see it.
absl::Status ParkRegion::TakeStoredExits(VcpuId self) {
  for (size_t i = 0; parked_ != 0 && i < pages_.size(); ++i) {
    if (pages_[i].occupant == kNobody) continue;
    const GuestAddress exit = PageAt(i) + PARK_PAGE_EXIT;
    if (const uint64_t value = window_.Load(exit)) {
      ASSIGN_OR_RETURN(const bool taken,
                       TakeExit(self, self, PageAt(i), value));
      if (taken) window_.Store(exit, 0);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ParkRegion::Outcome> ParkRegion::StepOver(
    VcpuId self, Vcpu& vcpu, const GuestStore& store) {
  const Blocks closed = all_blocks_ & ~writable_;
  stepper_ = Index(self);
  step_began_ = std::chrono::steady_clock::now();
  mutex_.unlock();
  const absl::StatusOr<VcpuExit> exit = RunOneInstruction(self, vcpu, closed);
  mutex_.lock();
  stepper_.reset();
  RETURN_IF_ERROR(exit.status());
  RETURN_IF_ERROR(TakeStoredExits(self));
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
      return Enter(self, own);
    }
  }
  return outcome;
}

// --- In ----------------------------------------------------------------------

// From here on the CPU is as good as off.
ParkRegion::Outcome ParkRegion::Enter(VcpuId self, GuestAddress address) {
  constexpr Outcome kParks = {.parks = true};
  machine_.events.ring(Index(self))
      .Push({.ns = machine_.clock.Now(),
             .vcpu = Index(self),
             .kind = Event::Kind::kParkStore,
             .arguments = 1,
             .args = {address.value()}});
  Cpu& cpu = cpus_[Index(self)];
  cpu.page.reset();
  cpu.announced = cpu.off = false;
  Page* const page = Find(address);
  if (page == nullptr) {
    Note(address < placement_.pages.base() ? ParkFault::kPageOfCpu0
                                           : ParkFault::kPagePastRegion,
         self, address, PARK_MAGIC);
    return kParks;
  }
  if (page->occupant != kNobody) {
    Note(ParkFault::kPageShared, self, address, page->occupant);
    return kParks;
  }
  const uint64_t loop = window_.Load(address + PARK_PAGE_TEXT);
  if (parked_ == 0) {
    loop_ = loop;
    first_park_ns_ = machine_.clock.Now();
  } else if (loop != loop_) {
    Note(ParkFault::kForeignLoop, self, address, loop);
  }
  *page = {.occupant = Index(self), .loop = loop};
  cpu.page = address;
  flags_[Index(self)].in_page = true;
  Occupy(address);
  return kParks;
}

// Before anybody sees the magic, its page is closed. The first CPU that is off
// does it for all that come meanwhile: closing takes KVM's lock on its page
// tables, and who is about to enter its loop would wait for that, spinning.
absl::Status ParkRegion::Announce(VcpuId self) {
  const MutexLock lock(mutex_);
  cpus_[Index(self)].off = true;
  ++arrivals_;
  while (busy_ && !closing_ && !stopped_) AwaitChange();
  if (stopped_) return absl::OkStatus();
  if (closing_) {
    if (AllHaveCome()) changed_.NotifyAll();
    return absl::OkStatus();
  }
  busy_ = closing_ = true;
  uint64_t seen = 0;
  for (int i = 0; i < kGatherings && seen != arrivals_; ++i) {
    if (AllHaveCome() || stopped_) break;
    seen = arrivals_;
    changed_.WaitFor(mutex_, kGather);
  }
  absl::Status status = CloseForNewcomers(self);
  closing_ = false;
  EndWork();
  return status;
}

// All but the one that sends the others away.
bool ParkRegion::AllHaveCome() const { return machine_.power.CountOn() <= 1; }

absl::Status ParkRegion::CloseForNewcomers(VcpuId self) {
  std::vector<uint32_t> newcomers;
  for (;;) {
    newcomers.clear();
    Blocks blocks;
    for (uint32_t i = 0; i < machine_.power.size(); ++i) {
      const Cpu& cpu = cpus_[i];
      if (!cpu.off || cpu.announced) continue;
      newcomers.push_back(i);
      if (cpu.page) blocks.set(BlockOf(*cpu.page));
    }
    if (newcomers.empty()) return absl::OkStatus();
    blocks = AllHaveCome() ? all_blocks_ : blocks & writable_;
    RETURN_IF_ERROR(SetWritableUnlocked(blocks, false));
    HasClosed(blocks);
    for (const uint32_t i : newcomers) {
      if (!cpus_[i].announced) RETURN_IF_ERROR(AnnounceNow(self, VcpuId{i}));
    }
  }
}

absl::Status ParkRegion::AnnounceNow(VcpuId self, VcpuId who) {
  Cpu& cpu = cpus_[Index(who)];
  cpu.announced = true;
  if (!cpu.page) return absl::OkStatus();
  if (Find(*cpu.page)->occupant != Index(who)) return absl::OkStatus();
  const GuestAddress address = *cpu.page;
  window_.Store(address + PARK_PAGE_MAGIC, PARK_MAGIC);
  if (const uint64_t exit = window_.Load(address + PARK_PAGE_EXIT)) {
    Note(ParkFault::kReleaseBeforePark, who, address, exit);
    window_.Store(address + PARK_PAGE_EXIT, 0);
    return TakeExit(self, who, address, exit).status();
  }
  return absl::OkStatus();
}

// --- Out ---------------------------------------------------------------------

absl::StatusOr<bool> ParkRegion::TakeExit(VcpuId self, VcpuId by,
                                          GuestAddress address, uint64_t exit) {
  Page& page = *Find(address);
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
  machine_.events.ring(Index(self))
      .Push({.ns = machine_.clock.Now(),
             .vcpu = Index(by),
             .kind = Event::Kind::kReleaseStore,
             .arguments = 3,
             .args = {static_cast<uint64_t>(machine_.power.MpidrOf(cpu)), exit,
                      address.value()}});
  // Closing takes longer than starting a CPU, and what is open is vacant, so
  // not where it comes from: it need not wait for that, nor watch.
  const Blocks open = writable_;
  HasClosed(open);
  // It may run before Release() returns; then it finds nothing left to do.
  flags_[Index(cpu)].in_page = false;
  if (!machine_.power.Release(cpu, psci::Door::kPage,
                              {exit, address.value()})) {
    if (!cpus_[Index(cpu)].announced) {  // On its way in: Announce() finds it.
      flags_[Index(cpu)].in_page = true;
      RETURN_IF_ERROR(SetWritableUnlocked(open, false));
      return false;
    }
    Note(ParkFault::kDoubleRelease, by, address, exit);  // CPU_ON was first.
  }
  Vacate(page, address);
  RETURN_IF_ERROR(SetWritableUnlocked(open, false));
  return true;
}

void ParkRegion::Occupy(GuestAddress address) {
  const size_t block = BlockOf(address);
  ++occupants_[block];
  occupied_.set(block);
  ++parked_;
}

void ParkRegion::Vacate(Page& page, GuestAddress address) {
  window_.Store(address + PARK_PAGE_MAGIC, 0);
  cpus_[page.occupant].page.reset();
  flags_[page.occupant].in_page = false;
  page = {.released = true};
  const size_t block = BlockOf(address);
  if (--occupants_[block] == 0) occupied_.reset(block);
  --parked_;
}

void ParkRegion::Leave(VcpuId self) {
  if (!flags_[Index(self)].in_page) return;
  const MutexLock lock(mutex_);
  // CPU_ON was faster than whoever closes the window: nobody is to announce it.
  cpus_[Index(self)].announced = true;
  const auto address = cpus_[Index(self)].page;
  if (!address) return;
  Page& page = *Find(*address);
  const GuestAddress text = *address + PARK_PAGE_TEXT;
  // A kernel that takes a CPU from its page wipes it; one that calls CPU_ON may
  // not know of pages. Its next one must not find a loop where nobody is; but
  // what somebody has put there meanwhile is not ours to take away.
  const bool same_loop = window_.Load(text) == page.loop;
  Vacate(page, *address);
  if (same_loop) window_.Store(text, 0);
}

// --- The window --------------------------------------------------------------

// Who stores to one page only while others are parked wipes it; who stores to
// two, or while nobody is parked, will fill them all.
ParkRegion::Blocks ParkRegion::ToOpen(
    std::optional<GuestAddress> target) const {
  const Blocks vacant = all_blocks_ & ~writable_ & ~occupied_;
  if (parked_ != 0 && writable_.none() && target &&
      placement_.window.Contains(*target)) {
    const size_t block = BlockOf(*target);
    if (vacant[block]) return Blocks().set(block);
  }
  return vacant;
}

// One call for each run of them: a call costs more than the exit it spares.
absl::Status ParkRegion::SetWritable(const Blocks& blocks, bool writable) {
  size_t left = blocks.count();
  for (size_t first = 0; left != 0;) {
    while (!blocks[first]) ++first;
    size_t count = 1;
    while (first + count < blocks.size() && blocks[first + count]) ++count;
    RETURN_IF_ERROR(window_.SetWritable(
        *GuestRange::Make(placement_.window.base() + first * block_bytes_,
                          count * block_bytes_),
        writable));
    first += count;
    left -= count;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ParkRegion::OpenVacant(
    VcpuId self, Vcpu& vcpu, std::optional<GuestAddress> target) {
  const MutexLock lock(mutex_);
  if (ToOpen(target).none()) return false;
  ++openers_;  // Until it is open, must_watch_ stays.
  absl::Status status =
      writable_.none() ? AwaitWatchers(self, vcpu) : absl::OkStatus();
  if (status.ok() && BeginWork()) {
    const Blocks blocks = ToOpen(target);
    writable_ |= blocks;
    status = SetWritableUnlocked(blocks, true);
    EndWork();
  }
  --openers_;
  RETURN_IF_ERROR(status);
  return true;
}

// If all are, nobody has to watch; who does, goes on until it is off.
void ParkRegion::HasClosed(const Blocks& blocks) {
  writable_ &= ~blocks;
  if (writable_.none()) must_watch_ = openers_ != 0;
}

// --- From outside ------------------------------------------------------------

void ParkRegion::Inspect() {
  const MutexLock lock(mutex_);
  EndLongStep();
  if (writable_.none() && parked_ == 0) return;
  const bool overdue =
      parked_ != 0 && machine_.clock.Now() - first_park_ns_ > kMagicDeadlineNs;
  const std::vector<bool> touched = window_.Touched();
  for (size_t i = 0; i < pages_.size(); ++i) {
    Page& page = pages_[i];
    const GuestAddress address = PageAt(i);
    const size_t host = (address.value() - placement_.window.base().value()) /
                        GuardedWindow::HostPage();
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
  stopped_ = true;
  changed_.NotifyAll();
}

}  // namespace vmm
