// SPDX-License-Identifier: Apache-2.0
// The real ParkSlots over the real PowerTable in every order of their steps.
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "psci-emul/park_slots.h"
#include "tests/model/power_world.h"
#include "tests/support/schedules.h"

namespace psci {
namespace {

using model::Choose;
using model::ExpectAllAreRight;
using model::ExpectWalksAreRight;
using model::Here;
using model::PowerWorld;
using model::Require;

constexpr VcpuId kBoot{0};
constexpr VcpuId kOther{1};

class SlotWorld : public PowerWorld {
 public:
  const char* WrongIn() const override {
    for (uint32_t i = 0; i < table.size(); ++i) {
      const VcpuId owner{i};
      const bool parked = Read(owner, PARK_REG_MAGIC) == PARK_MAGIC;
      if (parked && Read(owner, PARK_REG_ACK) >= GenerationOf(owner)) {
        return "acknowledged before it is on";
      }
    }
    return PowerWorld::WrongIn();
  }
  const char* WrongAtRest() const override {
    for (uint32_t i = 0; i < table.size(); ++i) {
      const VcpuId owner{i};
      if (table.StateOf(owner) == PowerState::kOn &&
          Read(owner, PARK_REG_ACK) != GenerationOf(owner)) {
        return "on and not acknowledged";
      }
    }
    return PowerWorld::WrongAtRest();
  }

 protected:
  SlotWorld(uint32_t cpus, uint32_t on) : PowerWorld(cpus, on) {}

  static uint64_t At(VcpuId owner, uint64_t reg) {
    return Index(owner) * uint64_t{PARK_DEVICE_STRIDE} + reg;
  }
  uint64_t Read(VcpuId owner, uint64_t reg) const {
    return slots.Read(At(owner, reg), 8);
  }
  uint64_t GenerationOf(VcpuId owner) const {
    return Read(owner, PARK_REG_GENERATION);
  }
  SlotOutcome Write(VcpuId self, VcpuId owner, uint64_t reg, uint64_t value) {
    return slots.Write(self, At(owner, reg), 8, value);
  }

  // As a guest and VcpuThread::Live do it. Returns the id of what started it; 0
  // for a stop.
  uint64_t Park(VcpuId self) {
    Require(std::holds_alternative<ParkSelf>(
                Write(self, self, PARK_REG_MAGIC, PARK_MAGIC)),
            "refuses to park");
    Off(self, Door::kDevice);
    const uint64_t id = Boot(self);
    if (id != 0) slots.Entered(self);
    return id;
  }
  // Returns whether the store was taken.
  bool Exit(VcpuId self, VcpuId owner, uint64_t id) {
    const SlotOutcome outcome = Write(self, owner, PARK_REG_EXIT, EntryOf(id));
    if (!std::holds_alternative<psci::Released>(outcome)) {
      const auto* const refused = std::get_if<Refused>(&outcome);
      Require(refused != nullptr &&
                  refused->fault == ParkFault::kReleaseOfNotParked,
              "refused for a reason that is none");
      return false;
    }
    PowerWorld::Released(owner, id);
    return true;
  }

  ParkSlots slots{table, [](uint64_t) { return std::nullopt; }};
};

// The guest's protocol: who sees a CPU parked, or its generation, writes what
// X0 is to hold, then exit. Somebody else watches.
struct ParkAndRelease : SlotWorld {
  ParkAndRelease() : SlotWorld(3, 3) {
    SpawnSleeper("parker", [this] { Park(kOther); });
    Spawn("releaser", [this] {
      const bool comes =
          Choose(2) == 0 ? GenerationOf(kOther) == 1
                         : Read(kOther, PARK_REG_STATE) == PARK_STATE_PARKED;
      if (!comes) return;
      Write(kBoot, kOther, PARK_REG_CONTEXT, 20);
      if (!Exit(kBoot, kOther, 20)) return;
      Require(Read(kOther, PARK_REG_STATUS) == PARK_STATUS_OK,
              "released, and STATUS says otherwise");
      const uint64_t state = Read(kOther, PARK_REG_STATE);
      Require(state == PARK_STATE_STARTING || state == PARK_STATE_RUNNING,
              "released, and neither starting nor running");
      Require(!Exit(kBoot, kOther, 21), "released twice");
      Require(Read(kOther, PARK_REG_STATUS) == PARK_STATUS_NOT_PARKED,
              "refused, and STATUS says otherwise");
    });
    Spawn("watcher", [this] {
      const uint64_t ack = Read(kOther, PARK_REG_ACK);
      Require(ack <= GenerationOf(kOther), "ACK is ahead of GENERATION");
      if (ack == 0) return;
      Require(Read(kOther, PARK_REG_STATE) == PARK_STATE_RUNNING,
              "acknowledged, and not running");
    });
  }
};

TEST(ParkSlotsScheduleTest, AReleaseComesWithItsContextAndIsAcknowledged) {
  ExpectAllAreRight<ParkAndRelease>(1500);
}

// A store that was refused, then one that parks. Who sees the generation sees
// the status of that store, or of a later one.
struct ParkAfterARefusal : SlotWorld {
  ParkAfterARefusal() : SlotWorld(2, 2) {
    SpawnSleeper("parker", [this] {
      Write(kOther, kOther, PARK_REG_MAGIC, PARK_MAGIC + 1);
      Park(kOther);
    });
    Spawn("watcher", [this] {
      if (GenerationOf(kOther) == 0) return;
      Require(Read(kOther, PARK_REG_STATUS) == PARK_STATUS_OK,
              "parked, and STATUS is of the store before");
    });
  }
};

TEST(ParkSlotsScheduleTest, AParkingIsCountedWithItsStatus) {
  ExpectAllAreRight<ParkAfterARefusal>(20);
}

// One CPU stores to exit, one calls CPU_ON.
struct SlotMeetsCpuOn : SlotWorld {
  SlotMeetsCpuOn() : SlotWorld(3, 3) {
    SpawnSleeper("parker", [this] { Park(kOther); });
    Spawn("releaser", [this] {
      if (Read(kOther, PARK_REG_MAGIC) != PARK_MAGIC) return;
      Write(kBoot, kOther, PARK_REG_CONTEXT, 20);
      Exit(kBoot, kOther, 20);
    });
    Spawn("caller", [this] {
      if (CpuOn(kOther, 10)) CpuOn(kOther, 11);
    });
  }
};

TEST(ParkSlotsScheduleTest, ReleaseAndCpuOnStartOnce) {
  ExpectAllAreRight<SlotMeetsCpuOn>(2500);
}

// A CPU leaves by another door, and by its slot only then: a store to exit is
// for the second. Its CONTEXT may be forgotten in between.
struct OtherDoorFirst : SlotWorld {
  OtherDoorFirst() : SlotWorld(3, 3) {
    context_counts = false;
    SpawnSleeper("target", [this] {
      Off(kOther, Choose(2) == 0 ? Door::kCpuOff : Door::kPage);
      Require(Boot(kOther) == 10, "started by a slot that does not hold it");
      slots.Entered(kOther);
      Here(0);
      Park(kOther);
    });
    Spawn("releaser", [this] {
      Write(kBoot, kOther, PARK_REG_CONTEXT, 20);
      Exit(kBoot, kOther, 20);
    });
    Spawn("caller", [this] { CpuOn(kOther, 10); });
  }
};

TEST(ParkSlotsScheduleTest, AReleaseIsForWhomTheSlotHolds) {
  ExpectAllAreRight<OtherDoorFirst>(4500);
}

// Parks twice. Who sees it parked and is the only one to release it succeeds.
struct ParksTwice : SlotWorld {
  ParksTwice() : SlotWorld(2, 2) {
    SpawnSleeper("parker", [this] {
      Park(kOther);
      Here(0);
      Park(kOther);
    });
    Spawn("releaser", [this] {
      for (uint64_t id = 20; id < 24; ++id) {
        Here(id);
        if (Read(kOther, PARK_REG_STATE) != PARK_STATE_PARKED) continue;
        const uint64_t generation = GenerationOf(kOther);
        Write(kBoot, kOther, PARK_REG_CONTEXT, id);
        Require(Exit(kBoot, kOther, id), "seen parked, and not released");
        const uint64_t ack = Read(kOther, PARK_REG_ACK);
        Require(ack == generation || ack == generation - 1,
                "ACK is of another generation");
      }
    });
  }
};

TEST(ParkSlotsScheduleTest, WhoeverIsSeenParkedIsReleased) {
  ExpectAllAreRight<ParksTwice>(1000);
}

// A stop meets a CPU that parks and one that releases it.
struct StopMeetsParking : SlotWorld {
  StopMeetsParking() : SlotWorld(2, 2) {
    Spawn("parker", [this] {
      if (Park(kOther) != 0) Park(kOther);
    });
    Spawn("releaser", [this] {
      if (Read(kOther, PARK_REG_MAGIC) != PARK_MAGIC) return;
      Write(kBoot, kOther, PARK_REG_CONTEXT, 20);
      Exit(kBoot, kOther, 20);
    });
    Spawn("main", [this] { Stop(); });
  }
};

TEST(ParkSlotsScheduleTest, AStopReachesWhoIsParked) {
  ExpectAllAreRight<StopMeetsParking>(900);
}

// Four CPUs that do anything with everybody's slots.
struct AnySlot : SlotWorld {
  static constexpr uint32_t kCpus = 4;

  explicit AnySlot(uint64_t) : SlotWorld(kCpus, kCpus) {
    context_counts = false;
    for (uint32_t i = 0; i < kCpus; ++i) {
      SpawnSleeper("cpu" + std::to_string(i), [this, i] { Live(VcpuId{i}); });
    }
  }

  void Live(VcpuId self) {
    for (uint64_t i = 1; i < 16; ++i) {
      const VcpuId target{Choose(kCpus)};
      const uint64_t id = Index(self) * 100 + i;
      switch (Choose(6)) {
        case 0:
          Park(self);
          break;
        case 1:
          Off(self);
          Boot(self);
          slots.Entered(self);
          break;
        case 2:
          CpuOn(target, id);
          break;
        case 3:
          Write(self, target, PARK_REG_CONTEXT, id);
          break;
        case 4:
          Require(
              target == self || std::holds_alternative<Refused>(Write(
                                    self, target, PARK_REG_MAGIC, PARK_MAGIC)),
              "parks another CPU");
          break;
        default:
          Exit(self, target, id);
      }
    }
  }
};

TEST(ParkSlotsScheduleTest, FourCpusThatDoAnything) {
  ExpectWalksAreRight<AnySlot>(3000, 150'000);
}

}  // namespace
}  // namespace psci
