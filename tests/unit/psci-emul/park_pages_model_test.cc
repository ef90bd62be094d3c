// SPDX-License-Identifier: Apache-2.0
// The rules of the park pages over the real PowerTable, in every order of
// steps: CPUs that park, one that stores to their exits, one that calls CPU_ON.
//
// The threads do what vmm/park/host_parking.cc does, in its order: ParkPages
// behind one lock, the PowerTable without one, and what changes the window in
// turns. The pages' words are ghosts, because nobody touches them without the
// lock while a CPU is parked.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "psci-emul/park_abi.h"
#include "psci-emul/park_pages.h"
#include "tests/model/power_world.h"
#include "tests/support/schedules.h"

namespace psci {
namespace {

using model::Choose;
using model::ExpectAllAreRight;
using model::Ghost;
using model::Here;
using model::Learn;
using model::Lock;
using model::PowerWorld;
using model::Require;

constexpr VcpuId kOther{1};
constexpr VcpuId kThird{2};
constexpr size_t kPages = 2;
constexpr uint64_t kLoop = 0xf9000401;
constexpr uint64_t kBadId = 99;  // An exit that is no place to start at.

// std::lock_guard with a lock's names.
class Held {
 public:
  explicit Held(Lock& lock) : lock_(lock) { lock_.Take(); }
  ~Held() { lock_.Give(); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  Lock& lock_;
};

class PagesWorld : public PowerWorld {
 public:
  const char* WrongAtRest() const override {
    uint32_t parked = 0;
    for (size_t page = 0; page < kPages; ++page) {
      const auto occupant = rules_.OccupantOf(page);
      if (occupant) ++parked;
      if (stops()) continue;
      if (occupant && !table.IsParked(*occupant, Door::kPage)) {
        return "a page whose CPU is not parked is not vacated";
      }
      if (occupant && exit_[page] != 0) return "a release is lost";
      if (occupant && magic_[page] != PARK_MAGIC) return "parked unseen";
      if (!occupant && magic_[page] != 0 && !forged_[page]) {
        return "a magic without a CPU";
      }
    }
    if (parked != rules_.parked()) return "counts otherwise than are parked";
    return PowerWorld::WrongAtRest();
  }

 protected:
  PagesWorld(uint32_t cpus, uint32_t on) : PowerWorld(cpus, on) {
    context_counts = false;
    for (uint32_t i = 0; i < cpus; ++i) page_of_.emplace_back(0);
  }

  // HostParking::Enter, PowerOff, Left, AwaitBoot, Entered. Returns the id of
  // what started it; 0 for a stop. `place`: a multiple of 4 that tells this
  // call from the thread's others.
  uint64_t Park(VcpuId self, size_t page, uint64_t place = 0) {
    bool occupies = false;
    {
      const Held held(lock_);
      LeavePage(self);
      occupies = rules_.Enter(self, page, kLoop).occupies;
      Learn(occupies);
      if (occupies) in_page_[Index(self)] = 1;
      page_of_[Index(self)] = occupies ? page + 1 : 0;
      Changed();
    }
    Here(place + 1);
    Off(self, Door::kPage);
    Here(place + 2);
    Left(self);
    Here(place + 3);
    return Starts(self, page_of_[Index(self)]);
  }
  // The other door.
  uint64_t TurnOff(VcpuId self) {
    page_of_[Index(self)] = 0;
    Off(self);
    return Starts(self, 0);
  }
  // A store to the exit of a page; odd ids are those of page 1.
  void StoreExit(size_t page, uint64_t id) {
    const Held turn(turn_);
    const Held held(lock_);
    if (!TakeExit(page, id)) exit_[page] = id;
  }
  // Likewise while the page is open: the store is not seen.
  void StoreExitUnseen(size_t page, uint64_t id) {
    const Held held(lock_);
    const bool vacant = !rules_.OccupantOf(page);
    Learn(vacant);
    if (vacant) exit_[page] = id;
  }
  // A store of the magic that is not the loop's own.
  void ForgeMagic(size_t page) {
    const Held turn(turn_);
    const Held held(lock_);
    magic_[page] = PARK_MAGIC;
    const bool vacant = !rules_.OccupantOf(page);
    Learn(vacant);
    if (vacant) forged_[page] = 1;
  }
  void Inspect() {
    const Held held(lock_);
    for (size_t page = 0; page < kPages; ++page) {
      const auto finding = rules_.Inspect(
          page, {.exit = exit_[page], .magic = magic_[page], .loop = kLoop},
          /*overdue=*/false);
      Learn(finding && finding->clears_exit);
      if (finding && finding->clears_exit) exit_[page] = 0;
    }
    Changed();
  }

 private:
  // Tells the scheduler which of the states of the rules it is.
  void Changed() {
    static std::vector<ParkPages> known;
    uint64_t number = 0;
    while (number < known.size() && !(known[number] == rules_)) ++number;
    if (number == known.size()) known.push_back(rules_);
    number_of_rules_ = number;
  }

  uint64_t Starts(VcpuId self, uint64_t page_and_1) {
    const uint64_t id = Boot(self);
    if (id == 0) return 0;
    if (id >= 20) {  // A release.
      Require(page_and_1 == id % 2 + 1, "a release of whom no page holds");
      Require(id != kBadId, "started where nobody can start");
    }
    if (in_page_[Index(self)] != 0) {
      const Held held(lock_);
      LeavePage(self);
      Changed();
    }
    return id;
  }

  void LeavePage(VcpuId self) {
    const auto departure = rules_.Leave(self);
    in_page_[Index(self)] = 0;
    Learn(departure ? departure->page + 1 : 0);
    if (departure) Vacated(departure->page);
  }

  void Vacated(size_t page) {
    magic_[page] = 0;
    forged_[page] = 0;
  }

  // One CPU closes pages for all that come meanwhile.
  void Left(VcpuId self) {
    {
      const Held held(lock_);
      rules_.TurnedOff(self);
      Changed();
      if (closing_) return;
    }
    const Held turn(turn_);
    lock_.Take();
    closing_ = 1;
    for (;;) {
      const std::vector<VcpuId> newcomers = rules_.Unannounced();
      Learn(newcomers.size());
      for (const VcpuId cpu : newcomers) Learn(Index(cpu));
      if (newcomers.empty()) break;
      lock_.Give();  // While the pages are closed.
      lock_.Take();
      for (const VcpuId cpu : newcomers) Announce(cpu);
    }
    closing_ = 0;
    lock_.Give();
  }

  void Announce(VcpuId cpu) {
    const auto page = rules_.Announce(cpu);
    Changed();
    Learn(page ? *page + 1 : 0);
    if (!page) return;
    magic_[*page] = PARK_MAGIC;
    if (const uint64_t id = exit_[*page]) {
      exit_[*page] = 0;
      TakeExit(*page, id);
    }
  }

  // Returns whether the exit is dealt with.
  bool TakeExit(size_t page, uint64_t id) {
    const auto bad =
        id == kBadId ? std::optional(ParkFault::kExitNotRam) : std::nullopt;
    const ExitOutcome outcome = rules_.OnExit(page, bad);
    Learn(outcome.index());
    if (std::holds_alternative<ExitRefused>(outcome)) return true;
    const auto* const releases = std::get_if<ExitReleases>(&outcome);
    if (releases == nullptr) return false;
    const VcpuId cpu = releases->cpu;
    Learn(Index(cpu));
    in_page_[Index(cpu)] = 0;
    const bool started = Release(cpu, Door::kPage, id);
    const auto after = rules_.Released(page, started);
    Changed();
    Learn(static_cast<uint64_t>(after));
    if (after == ParkPages::AfterRelease::kWaits) {
      in_page_[Index(cpu)] = 1;
      return false;
    }
    Vacated(page);
    return true;
  }

  Lock turn_;
  Lock lock_;
  ParkPages rules_{4, kPages};
  Ghost number_of_rules_;
  Ghost closing_;
  std::array<Ghost, 4> in_page_;
  std::array<Ghost, kPages> exit_;
  std::array<Ghost, kPages> magic_;
  std::array<Ghost, kPages> forged_;
  std::deque<Ghost> page_of_;  // 1 + the page that the CPU parks in, or 0.
};

// A CPU parks; one stores to its exit, one calls CPU_ON.
struct ParkMeetsBoth : PagesWorld {
  ParkMeetsBoth() : PagesWorld(3, 3) {
    Spawn("parker", [this] { Park(kOther, 0); });
    Spawn("releaser", [this] { StoreExit(0, 20); });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
};

TEST(ParkPagesModelTest, AnExitOrCpuOnStartsACpuThatParks) {
  ExpectAllAreRight<ParkMeetsBoth>(800);
}

// Two CPUs park, and one releases both.
struct TwoPark : PagesWorld {
  TwoPark() : PagesWorld(3, 3) {
    Spawn("first", [this] { Park(kOther, 0); });
    Spawn("second", [this] { Park(kThird, 1); });
    Spawn("releaser", [this] {
      StoreExit(0, 20);
      Here(0);
      StoreExit(1, 21);
    });
  }
};

TEST(ParkPagesModelTest, NoCpuOfTwoIsLost) { ExpectAllAreRight<TwoPark>(6000); }

// Two CPUs in one page: an exit starts the one that holds it.
struct OnePageForTwo : PagesWorld {
  OnePageForTwo() : PagesWorld(3, 3) {
    SpawnSleeper("first", [this] { Park(kOther, 0); });
    SpawnSleeper("second", [this] { Park(kThird, 0); });
    Spawn("releaser", [this] { StoreExit(0, 20); });
  }
};

TEST(ParkPagesModelTest, APageHoldsOneCpu) {
  ExpectAllAreRight<OnePageForTwo>(2500);
}

// Parks again in the same page: an exit is for one parking.
struct ParksTwice : PagesWorld {
  ParksTwice() : PagesWorld(3, 3) {
    SpawnSleeper("parker", [this] {
      Park(kOther, 0);
      Here(4);
      Park(kOther, 0, 4);
    });
    Spawn("releaser", [this] {
      StoreExit(0, 20);
      Here(0);
      StoreExit(0, 22);
    });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
};

TEST(ParkPagesModelTest, EachExitIsForOneParking) {
  ExpectAllAreRight<ParksTwice>(3500);
}

// Somebody stores the magic in the name of a CPU that leaves by CPU_OFF, or
// parks in another page.
struct Forged : PagesWorld {
  Forged() : PagesWorld(3, 3) {
    SpawnSleeper("other", [this] {
      if (Choose(2) == 0) {
        TurnOff(kOther);
      } else {
        Park(kOther, 1);
      }
    });
    Spawn("forger", [this] {
      ForgeMagic(0);
      Inspect();
    });
    Spawn("releaser", [this] { StoreExit(0, 20); });
  }
};

TEST(ParkPagesModelTest, AForgedMagicParksNobody) {
  ExpectAllAreRight<Forged>(60);
}

// The exit is there before its CPU, and somebody looks at the pages meanwhile.
struct ExitComesFirst : PagesWorld {
  ExitComesFirst() : PagesWorld(2, 2) {
    Spawn("releaser and parker", [this] {
      StoreExitUnseen(0, 20);
      Park(kOther, 0);
    });
    Spawn("inspector", [this] {
      Inspect();
      Inspect();
    });
  }
};

TEST(ParkPagesModelTest, AnExitThatComesFirstIsNotLost) {
  ExpectAllAreRight<ExitComesFirst>(30);
}

// An exit that is stored unseen after its CPU was released must not release the
// next one.
struct ExitIsLeftOver : PagesWorld {
  ExitIsLeftOver() : PagesWorld(2, 2) {
    SpawnSleeper("parker", [this] {
      Require(Park(kOther, 0) == 20, "released by another exit");
      StoreExitUnseen(0, 22);
      Inspect();
      Park(kOther, 0, 4);
      Require(false, "released by what was left over");
    });
    Spawn("releaser", [this] { StoreExit(0, 20); });
  }
};

TEST(ParkPagesModelTest, AnExitThatIsLeftOverReleasesNobody) {
  ExpectAllAreRight<ExitIsLeftOver>(60);
}

// The first exit is no place to start at, the second is.
struct BadExitFirst : PagesWorld {
  BadExitFirst() : PagesWorld(3, 3) {
    SpawnSleeper("parker", [this] { Park(kOther, 0); });
    Spawn("releaser", [this] {
      StoreExit(0, kBadId);
      Here(0);
      StoreExit(0, 20);
    });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
};

TEST(ParkPagesModelTest, ABadExitStartsNobody) {
  ExpectAllAreRight<BadExitFirst>(1000);
}

struct StopMeetsPages : PagesWorld {
  StopMeetsPages() : PagesWorld(2, 2) {
    Spawn("parker", [this] {
      if (Park(kOther, 0) != 0) Park(kOther, 0, 4);
    });
    Spawn("releaser", [this] { StoreExit(0, 20); });
    Spawn("main", [this] { Stop(); });
  }
};

TEST(ParkPagesModelTest, AStopReachesWhoIsInAPage) {
  ExpectAllAreRight<StopMeetsPages>(500);
}

}  // namespace
}  // namespace psci
