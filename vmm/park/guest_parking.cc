// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/guest_parking.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "psci-emul/park_abi.h"
#include "vmm/base/status_macros.h"
#include "vmm/park/page_address.h"

namespace vmm {
namespace {

using psci::ParkFault;
using psci::VcpuId;

constexpr std::chrono::microseconds kIdleTick(1000);
constexpr std::chrono::microseconds kBusyTick(200);
// A CPU that has left its loop turns its MMU on within microseconds; one that
// has not after this long is not where anybody wants it.
constexpr int64_t kLostNs = 100'000'000;

}  // namespace

absl::StatusOr<std::unique_ptr<GuestParking>> GuestParking::Create(
    const ParkPlacement& placement, Deps deps) {
  ASSIGN_OR_RETURN(GuardedWindow window,
                   GuardedWindow::Make(deps.memory, placement.window));
  return std::unique_ptr<GuestParking>(
      new GuestParking(placement, std::move(window), std::move(deps)));
}

GuestParking::GuestParking(const ParkPlacement& placement, GuardedWindow window,
                           Deps deps)
    : placement_(placement),
      deps_(std::move(deps)),
      window_(std::move(window)),
      pages_(deps_.power.size()) {}

GuestParking::~GuestParking() {
  RequestStop();
  Join();
}

void GuestParking::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "park-watch");
    if (deps_.on_thread) deps_.on_thread();
    while (!stopped_) {
      Look();
      const bool busy = std::any_of(
          pages_.begin(), pages_.end(),
          [](const Page& page) { return page.state == State::kPrepared; });
      const MutexLock lock(sleeping_);
      if (!stopped_) {
        stopped_changed_.WaitFor(sleeping_, busy ? kBusyTick : kIdleTick);
      }
    }
  });
}

// The thread may miss the notification, and then looks a tick later.
void GuestParking::RequestStop() {
  stopped_ = true;
  stopped_changed_.NotifyAll();
}

void GuestParking::Join() {
  if (thread_.joinable()) thread_.join();
}

void GuestParking::OnCpuOnRefused(VcpuId caller, uint64_t mpidr) {
  const auto target = deps_.power.Find(psci::Mpidr{mpidr});
  if (!target || *target == caller || psci::Index(*target) == 0) return;
  const uint32_t vcpu = psci::Index(*target);
  const auto where = deps_.vcpus.ask(vcpu);
  if (where && IsInWindow(*where)) {
    Note(ParkFault::kCpuOnWhileSpinning, vcpu, where->pc);
  }
}

GuestAddress GuestParking::PageOf(uint32_t vcpu) const {
  return At(placement_.pages.base(), placement_.stride * (vcpu - 1));
}

bool GuestParking::IsInWindow(const Whereabouts& where) const {
  return !where.mmu_on && placement_.window.Contains(GuestAddress(where.pc));
}

void GuestParking::Note(ParkFault fault, uint32_t vcpu, uint64_t value) {
  deps_.diagnoses.Note(fault, vcpu, PageOf(vcpu).value(), value);
}

void GuestParking::Look() {
  for (uint32_t vcpu = 1; vcpu < pages_.size(); ++vcpu) LookAt(vcpu);
  CheckSpinning();
}

void GuestParking::LookAt(uint32_t vcpu) {
  Page& page = pages_[vcpu];
  const GuestAddress address = PageOf(vcpu);
  const uint64_t exit = window_.Load(At(address, PARK_PAGE_EXIT));
  const uint64_t magic = window_.Load(At(address, PARK_PAGE_MAGIC));
  const uint64_t loop = window_.Load(At(address, PARK_PAGE_TEXT));
  switch (page.state) {
    case State::kEmpty:
    case State::kReleased:
      if (loop != 0 && exit == 0 && magic == 0) {
        page = {State::kPrepared, loop, deps_.clock.Now()};
      } else if (exit == 0 && magic == PARK_MAGIC) {
        Parked(vcpu, loop);  // All of it between two looks.
      } else if (page.state == State::kReleased) {
        CheckReleased(vcpu);
      }
      break;
    case State::kPrepared:
      if (magic == PARK_MAGIC) {
        Parked(vcpu, loop);
      } else if (exit != 0) {
        if (!std::exchange(page.noted, true)) {
          Note(ParkFault::kReleaseBeforePark, vcpu, exit);
        }
      } else if (loop == 0) {
        page = {};
      } else if (first_park_ns_ != 0 && !page.noted &&
                 deps_.clock.Now() - std::max(first_park_ns_, page.since_ns) >
                     kMagicDeadlineNs) {
        page.noted = true;
        Note(ParkFault::kCpuWithoutMagic, vcpu, loop);
      }
      break;
    case State::kParked:
      if (exit != 0 || magic != PARK_MAGIC) {
        Released(vcpu, exit);
      }
      break;
  }
}

void GuestParking::Parked(uint32_t vcpu, uint64_t loop) {
  const int64_t now = deps_.clock.Now();
  if (deps_.is_off(vcpu)) {
    // It is not there: it left by CPU_OFF, and the page is from before.
    Page& page = pages_[vcpu];
    if (!std::exchange(page.noted, true)) {
      Note(ParkFault::kStaleMagic, vcpu, PARK_MAGIC);
    }
    return;
  }
  if (first_park_ns_ == 0) first_park_ns_ = now;
  for (const Page& other : pages_) {
    if (other.state == State::kParked && other.loop != loop) {
      Note(ParkFault::kForeignLoop, vcpu, loop);
      break;
    }
  }
  pages_[vcpu] = {State::kParked, loop, now, deps_.vcpus.host_cpu_ns(vcpu)};
  ++totals_.parks;
  for (const auto kind : {Event::Kind::kParkStore, Event::Kind::kOff}) {
    const bool store = kind == Event::Kind::kParkStore;
    deps_.events.Push(
        {.ns = now,
         .vcpu = vcpu,
         .kind = kind,
         .arguments = 1,
         .args = {store ? PageOf(vcpu).value()
                        : static_cast<uint64_t>(psci::Door::kPage)},
         .sampled = true});
  }
}

void GuestParking::CheckExit(uint32_t vcpu, uint64_t exit) {
  if (const auto fault = deps_.judge(exit)) Note(*fault, vcpu, exit);
}

void GuestParking::Released(uint32_t vcpu, uint64_t exit) {
  Page& page = pages_[vcpu];
  const int64_t now = deps_.clock.Now();
  totals_.parked_ns += now - page.since_ns;
  totals_.host_cpu_ns += deps_.vcpus.host_cpu_ns(vcpu) - page.cpu_ns;
  page = {State::kReleased, 0, now};
  if (exit != 0) CheckExit(vcpu, exit);
  const auto mpidr = deps_.power.MpidrOf(VcpuId{vcpu});
  deps_.events.Push(
      {.ns = now,
       .vcpu = vcpu,
       .kind = Event::Kind::kReleaseStore,
       .arguments = 3,
       .args = {static_cast<uint64_t>(mpidr), exit, PageOf(vcpu).value()},
       .sampled = true});
  deps_.events.Push({.ns = now,
                     .vcpu = vcpu,
                     .kind = Event::Kind::kStart,
                     .arguments = 2,
                     .args = {exit, PageOf(vcpu).value()},
                     .sampled = true});
  const bool last = std::none_of(
      pages_.begin(), pages_.end(),
      [](const Page& other) { return other.state == State::kParked; });
  if (last) {
    first_park_ns_ = 0;
    asked_ = false;
  }
}

// A CPU whose page was wiped too early executes what it was wiped with, or is
// at the vectors of a kernel that is gone, without the MMU they need.
void GuestParking::CheckReleased(uint32_t vcpu) {
  Page& page = pages_[vcpu];
  if (page.noted || deps_.clock.Now() - page.since_ns < kLostNs) return;
  page.noted = true;  // Whatever comes of it, once is enough.
  const auto where = deps_.vcpus.ask(vcpu);
  if (!where || where->mmu_on) return;
  uint8_t word[4];
  const bool no_ram = !deps_.memory.Read(GuestAddress(where->pc), word).ok();
  const bool wiped =
      !no_ram && word[0] == 0 && word[1] == 0 && word[2] == 0 && word[3] == 0;
  if (no_ram || wiped) Note(ParkFault::kReleaseLost, vcpu, where->pc);
}

// It runs elsewhere, and its page says that it spins: unless that has changed
// since we looked.
void GuestParking::CheckForged(uint32_t vcpu, const Whereabouts& where) {
  if (vcpu == 0 || pages_[vcpu].state != State::kParked) return;
  const GuestAddress page = PageOf(vcpu);
  if (window_.Load(At(page, PARK_PAGE_EXIT)) == 0 &&
      window_.Load(At(page, PARK_PAGE_MAGIC)) == PARK_MAGIC) {
    Note(ParkFault::kMagicWithoutCpu, vcpu, where.pc);
  }
}

// Who is really where? Numbers can be wrong, and pages shared.
void GuestParking::CheckSpinning() {
  if (asked_ || first_park_ns_ == 0 ||
      deps_.clock.Now() - first_park_ns_ < kLostNs) {
    return;
  }
  asked_ = true;
  std::map<uint64_t, uint32_t> occupants;  // By page.
  for (uint32_t vcpu = 0; vcpu < pages_.size(); ++vcpu) {
    const auto where = deps_.vcpus.ask(vcpu);
    if (!where || !IsInWindow(*where)) {
      if (where && where->mmu_on) CheckForged(vcpu, *where);
      continue;
    }
    const uint64_t page = where->pc & ~uint64_t{kParkUnit - 1};
    if (GuestAddress(page) < placement_.pages.base()) {
      deps_.diagnoses.Note(ParkFault::kPageOfCpu0, vcpu, page, where->pc);
    } else if (!placement_.pages.Contains(GuestAddress(page))) {
      deps_.diagnoses.Note(ParkFault::kPagePastRegion, vcpu, page, where->pc);
    } else if (!occupants.emplace(page, vcpu).second) {
      deps_.diagnoses.Note(ParkFault::kPageShared, vcpu, page, where->pc);
    }
  }
}

}  // namespace vmm
