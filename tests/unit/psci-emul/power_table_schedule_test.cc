// SPDX-License-Identifier: Apache-2.0
// The real PowerTable, Dispatcher and Firmware in every order of their steps.
// What holds in all worlds is in tests/model/power_world.cc.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>

#include "psci-emul/firmware_model.h"
#include "psci-emul/power_table.h"
#include "tests/model/power_world.h"
#include "tests/support/schedules.h"

namespace psci {
namespace {

using model::Choose;
using model::ExpectAllAreRight;
using model::ExpectWalksAreRight;
using model::Ghost;
using model::Here;
using model::kFirstNs;
using model::kNeverNs;
using model::PowerWorld;
using model::Require;
using std::chrono::nanoseconds;
using By = PowerTable::By;

constexpr VcpuId kBoot{0};
constexpr VcpuId kOther{1};
constexpr VcpuId kThird{2};

// --- CPU_ON ------------------------------------------------------------------

// CPUs that are on all call CPU_ON of the one that is off.
template <uint32_t kCallers>
struct CallersRace : PowerWorld {
  CallersRace() : PowerWorld(kCallers + 1, kCallers) {
    Spawn("target", [this] { Boot(VcpuId{kCallers}); });
    for (uint32_t i = 0; i < kCallers; ++i) {
      Spawn("caller " + std::to_string(i),
            [this, i] { CpuOn(VcpuId{kCallers}, 10 + i); });
    }
  }
  const char* WrongAtRest() const override {
    if (cpu(VcpuId{kCallers}).won != 1) return "not one winner";
    return PowerWorld::WrongAtRest();
  }
};

TEST(PowerTableScheduleTest, OneOfTwoCpuOnCallsWins) {
  ExpectAllAreRight<CallersRace<2>>(300);
}

TEST(PowerTableScheduleTest, OneOfThreeCpuOnCallsWins) {
  ExpectAllAreRight<CallersRace<3>>(2500);
}

// The winner's sleep may end early: it is the word that counts.
TEST(PowerTableScheduleTest, AStartIsNotASleepThatEnds) {
  ExpectAllAreRight<CallersRace<1>>(150, {.early_returns = 2});
}

struct CpuOnChasesCpuOff : PowerWorld {
  CpuOnChasesCpuOff() : PowerWorld(2, 2) {
    SpawnSleeper("target", [this] {
      for (;;) {
        Here(0);
        Off(kOther);
        Here(1);
        Boot(kOther);
      }
    });
    Spawn("caller", [this] {
      for (uint64_t i = 0; i < 3; ++i) {
        Here(i);
        CpuOn(kOther, 10 + i);
      }
    });
  }
};

TEST(PowerTableScheduleTest, EachSuccessIsOneStartWhenCpuOnChasesCpuOff) {
  ExpectAllAreRight<CpuOnChasesCpuOff>(600);
}

// Both leave, and one turns the other on before it does.
struct AllLeave : PowerWorld {
  AllLeave() : PowerWorld(3, 3) {
    SpawnSleeper("first", [this] {
      CpuOn(kOther, 10);
      Here(0);
      Off(kBoot);
      Here(1);
      Boot(kBoot);
    });
    SpawnSleeper("second", [this] {
      for (;;) {
        Here(0);
        Off(kOther);
        Here(1);
        Boot(kOther);
      }
    });
    SpawnSleeper("third", [this] {
      Off(kThird);
      Here(0);
      Boot(kThird);
    });
  }
};

TEST(PowerTableScheduleTest, ThatAllAreOffIsToldOnce) {
  ExpectAllAreRight<AllLeave>(3000);
}

struct SomebodyAsks : PowerWorld {
  SomebodyAsks() : PowerWorld(3, 3) {
    SpawnSleeper("target", [this] {
      Off(kOther);
      Boot(kOther);
    });
    Spawn("caller", [this] {
      const bool was_off = !SaysOn(kOther);
      const bool starts = CpuOn(kOther, 10);
      Require(starts || !was_off, "seen off, but CPU_ON says ALREADY_ON");
      if (starts) Require(SaysOn(kOther), "OFF after CPU_ON has won");
    });
    Spawn("reader", [this] {
      for (uint64_t i = 0; i < 3; ++i) {
        Here(i);
        SaysOn(kOther);
      }
    });
  }
};

TEST(PowerTableScheduleTest, AffinityInfoIsOnFromSuccessToCpuOff) {
  ExpectAllAreRight<SomebodyAsks>(600);
}

// --- Doors -------------------------------------------------------------------

// A CPU is in its page. One CPU stores to its exit, one to a slot in which it
// is not, one calls CPU_ON.
struct ReleaseMeetsCpuOn : PowerWorld {
  ReleaseMeetsCpuOn() : PowerWorld(3, 3) {
    if (table.PowerOff(kOther, Door::kPage)) std::abort();
    cpu(kOther).executes = 0;
    Spawn("target", [this] {
      const auto by = table.AwaitStart(kOther);
      const uint64_t id = Boot(kOther);
      Require(by == (id == 20 ? By::kRelease : By::kCpuOn),
              "started by the wrong one");
    });
    Spawn("releaser", [this] {
      Require(!Release(kOther, Door::kDevice, 21),
              "a release of whom the slot does not hold");
      Release(kOther, Door::kPage, 20);
    });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
  const char* WrongAtRest() const override {
    if (cpu(kOther).won != 1) return "not one winner";
    return PowerWorld::WrongAtRest();
  }
};

TEST(PowerTableScheduleTest, ReleaseAndCpuOnStartOnce) {
  ExpectAllAreRight<ReleaseMeetsCpuOn>(800);
}

// A CPU leaves its page by CPU_ON and is off by CPU_OFF next: a release that
// was late is none.
struct ReleaseComesLate : PowerWorld {
  ReleaseComesLate() : PowerWorld(3, 3) {
    if (table.PowerOff(kOther, Door::kPage)) std::abort();
    cpu(kOther).executes = 0;
    SpawnSleeper("target", [this] {
      auto left_by = Door::kPage;
      for (;;) {
        const uint64_t id = Boot(kOther);
        Require(id != 20 || left_by == Door::kPage,
                "a release of a CPU that left by CPU_OFF");
        left_by = Door::kCpuOff;
        Here(0);
        Off(kOther);
      }
    });
    Spawn("caller", [this] {
      CpuOn(kOther, 10);
      Here(0);
      CpuOn(kOther, 11);
    });
    Spawn("releaser", [this] { Release(kOther, Door::kPage, 20); });
  }
};

TEST(PowerTableScheduleTest, ALateReleaseStartsNobodyElse) {
  ExpectAllAreRight<ReleaseComesLate>(2500);
}

// --- Stops -------------------------------------------------------------------

// Whatever a CPU waits for, without a deadline, a stop ends it, and so does a
// start where it is to.
struct StopEndsWaits : PowerWorld {
  StopEndsWaits() : PowerWorld(3, 1) {
    Spawn("sleeper", [this] {
      switch (Choose(3)) {
        case 0:
          Boot(kOther);
          return;
        case 1:
          Require(!table.StaysOff(kOther, nanoseconds(kNeverNs)),
                  "never has come");
          Require(stops() || table.StateOf(kOther) != PowerState::kOff,
                  "neither started nor stopped");
          return;
        case 2:
          Require(!table.SleepUntil(kOther, kNeverNs), "never has come");
          Require(stops(), "a sleep that nobody has ended");
      }
    });
    Spawn("other sleeper", [this] { Boot(kThird); });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
    Spawn("main", [this] { Stop(); });
  }
};

TEST(PowerTableScheduleTest, AStopEndsEveryWait) {
  ExpectAllAreRight<StopEndsWaits>(4000);
}

// Likewise, when sleeps end early, too.
struct StopEndsOneWait : PowerWorld {
  StopEndsOneWait() : PowerWorld(2, 1) {
    Spawn("sleeper", [this] {
      switch (Choose(3)) {
        case 0:
          Boot(kOther);
          return;
        case 1:
          Require(!table.StaysOff(kOther, nanoseconds(kNeverNs)),
                  "never has come");
          return;
        case 2:
          Require(!table.SleepUntil(kOther, kNeverNs), "never has come");
      }
    });
    Spawn("main", [this] { Stop(); });
  }
};

TEST(PowerTableScheduleTest, AStopEndsEveryWaitAlsoWhenSleepsEndEarly) {
  ExpectAllAreRight<StopEndsOneWait>(50, {.early_returns = 2});
}

struct StopMeetsOff : PowerWorld {
  StopMeetsOff() : PowerWorld(2, 2) {
    Spawn("target", [this] {
      Off(kOther, Door::kPage);
      for (;;) {
        Here(0);
        if (Boot(kOther) == 0) return;
        Off(kOther);
      }
    });
    Spawn("releaser", [this] {
      Release(kOther, Door::kPage, 20);
      CpuOn(kOther, 10);
    });
    Spawn("main", [this] { Stop(); });
  }
};

TEST(PowerTableScheduleTest, AStopMeetsStartsAndEnds) {
  ExpectAllAreRight<StopMeetsOff>(4000);
}

// --- Deadlines ---------------------------------------------------------------

// VcpuThread::Settles, twice, while somebody may start the CPU.
struct Settling : PowerWorld {
  Settling() : PowerWorld(2, 2) {
    SpawnSleeper("target", [this] {
      Off(kOther);
      for (int i = 0; i < 2; ++i) {
        const int64_t begin = MonotonicNs();
        if (!table.StaysOff(kOther, nanoseconds(100))) break;
        Require(MonotonicNs() >= begin + 100, "settled before its time");
        Require(MonotonicNs() >= table.LastOffNs() + 100,
                "settled before its time");
      }
      Boot(kOther);
    });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
};

TEST(PowerTableScheduleTest, WhoStaysOffHasBeenOffForThatLong) {
  ExpectAllAreRight<Settling>(900, {.early_returns = 1});
}

// A start ends what nothing else would.
struct StartEndsSettling : PowerWorld {
  StartEndsSettling() : PowerWorld(2, 1) {
    Spawn("target", [this] {
      Require(!table.StaysOff(kOther, nanoseconds(kNeverNs)), "never has come");
      Require(table.StateOf(kOther) != PowerState::kOff, "off after a start");
      Require(Boot(kOther) == 10, "started by nobody");
    });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
};

TEST(PowerTableScheduleTest, AStartEndsTheTimeThatACpuStaysOff) {
  ExpectAllAreRight<StartEndsSettling>(120, {.early_returns = 1});
}

// Firmware's time: sleeps of CPUs that are on, and a stop.
struct Sleeping : PowerWorld {
  Sleeping() : PowerWorld(2, 2) {
    for (const int64_t ns : {10, 20}) {
      Spawn("sleeper " + std::to_string(ns), [this, ns] {
        const VcpuId self{ns == 10 ? 0u : 1u};
        const bool over = table.SleepUntil(self, kFirstNs + ns);
        Require(!over || MonotonicNs() >= kFirstNs + ns, "woke up too early");
        Require(over || stops(), "a sleep that nobody has ended");
      });
    }
    Spawn("main", [this] { Stop(); });
  }
};

TEST(PowerTableScheduleTest, ASleepEndsWithItsDeadlineOrAStop) {
  ExpectAllAreRight<Sleeping>(450, {.early_returns = 1});
}

// The platform's lock: two transitions never overlap, whoever is first.
struct PlatformLock : model::World {
  PlatformLock() {
    for (uint32_t i = 0; i < 3; ++i) {
      Spawn("cpu" + std::to_string(i), [this, i] {
        done[i] = static_cast<uint64_t>(
            firmware.CompletionOf(Transition::kOff, VcpuId{i}, 1000));
      });
    }
  }
  const char* WrongAtRest() const override {
    uint64_t sum = 0;
    for (const Ghost& each : done) sum += each;
    return sum == 3 * 1000 + 10 + 20 + 30 ? nullptr : "transitions overlap";
  }
  Firmware firmware{{.off_ns = 10, .serialised = true}};
  std::array<Ghost, 3> done;
};

TEST(PowerTableScheduleTest, ThePlatformsLockIsHeldByOne) {
  ExpectAllAreRight<PlatformLock>(25);
}

// --- Random walks ------------------------------------------------------------

// Five CPUs that do anything, and a stop at any moment, or none.
struct Anything : PowerWorld {
  static constexpr uint32_t kCpus = 5;

  explicit Anything(uint64_t seed) : PowerWorld(kCpus, 1) {
    for (uint32_t i = 0; i < kCpus; ++i) {
      SpawnSleeper("cpu" + std::to_string(i), [this, i] { Live(VcpuId{i}); });
    }
    if (seed % 2 == 0) return;
    Spawn("main", [this] {
      for (unsigned i = Choose(16); i > 0; --i) MonotonicNs();
      Stop();
    });
  }

  void Live(VcpuId self) {
    auto left_by = Door::kCpuOff;
    bool is_on = self == kBoot;
    for (int i = 0; i < 20 || !is_on; ++i) {
      if (!is_on) {
        if (Choose(2) == 0) table.StaysOff(self, nanoseconds(100));
        const uint64_t id = Boot(self);
        if (id == 0) return;
        Require((id & 1) == 0 || left_by != Door::kCpuOff,
                "a release of a CPU that left by CPU_OFF");
        is_on = true;
      }
      const VcpuId target{Choose(kCpus)};
      // Of this call alone; odd for a release.
      const uint64_t id =
          (Index(self) * 100 + static_cast<uint64_t>(i)) * 2 + 2;
      switch (Choose(8)) {
        case 0:
        case 1:
          left_by = Door{Choose(3)};
          Off(self, left_by);
          is_on = false;
          break;
        case 2:
          Release(target, Door::kPage, id + 1);
          break;
        case 3:
          Release(target, Door::kDevice, id + 1);
          break;
        case 4:
          SaysOn(target);
          break;
        case 5:
          if (!table.SleepUntil(self, MonotonicNs() + 10)) return;
          break;
        default:
          CpuOn(target, id);
      }
    }
  }
};

TEST(PowerTableScheduleTest, FiveCpusThatDoAnything) {
  ExpectWalksAreRight<Anything>(4000, 200'000);
}

}  // namespace
}  // namespace psci
