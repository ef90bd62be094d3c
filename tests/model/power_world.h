// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_MODEL_POWER_WORLD_H_
#define PARKVMM_TESTS_MODEL_POWER_WORLD_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "psci-emul/dispatcher.h"
#include "psci-emul/power_table.h"
#include "tests/model/scheduler.h"

namespace model {

// CPUs over a real PowerTable, with what each thread did to them in ghosts:
// whatever its threads do, the table keeps its promises.
//
// A caller of CpuOn() or Release() is a CPU that is on, as in a guest: it
// counts, so that nobody is told meanwhile that all CPUs are off.
class PowerWorld : public World {
 public:
  const char* WrongIn() const override;
  const char* WrongAtRest() const override;

 protected:
  // The first `on` of the CPUs are on.
  PowerWorld(uint32_t cpus, uint32_t on);

  // What follows is for the threads.

  // CPU_ON by way of the dispatcher. Returns whether it was SUCCESS. `id`: of
  // this call; no other has the same.
  bool CpuOn(psci::VcpuId target, uint64_t id);
  // Likewise, by a store to where the target is parked.
  bool Release(psci::VcpuId target, psci::Door door, uint64_t id);
  // To be called when a store to a slot has released a CPU.
  void Released(psci::VcpuId target, uint64_t id);
  // AFFINITY_INFO at level 0. Returns whether it said ON.
  bool SaysOn(psci::VcpuId target);
  // The guest's part ends, by CPU_OFF or another door.
  void Off(psci::VcpuId self, psci::Door door = psci::Door::kCpuOff);
  // Waits for a start. Returns the `id` of what started it; 0 for a stop.
  uint64_t Boot(psci::VcpuId self);
  void Stop();

  static uint64_t EntryOf(uint64_t id) { return 0x40000000 + 4 * id; }
  static psci::BootContext ContextOf(uint64_t id) { return {EntryOf(id), id}; }

  // One CPU as its users have it.
  struct Cpu {
    Ghost executes;     // It may execute guest code,
    Ghost leaves;       // or has, and is turning itself off.
    Ghost won;          // How many were told that they have started it,
    Ghost won_ids;      // and the sum of their ids.
    Ghost started;      // How often it did start,
    Ghost started_ids;  // and by which ids.
  };
  Cpu& cpu(psci::VcpuId id) { return cpus_[psci::Index(id)]; }
  const Cpu& cpu(psci::VcpuId id) const { return cpus_[psci::Index(id)]; }
  // Whether a stop has begun.
  bool stops() const { return stops_ != 0; }

  psci::PowerTable table;
  psci::Dispatcher dispatcher;
  // Whether a CPU starts with the context of the one that started it; false
  // where several write the one of a slot.
  bool context_counts = true;

 private:
  void Won(psci::VcpuId target, uint64_t id);

  std::deque<Cpu> cpus_;
  Ghost told_that_all_are_off_;
  Ghost stops_;    // Shutdown() has begun,
  Ghost stopped_;  // and ended.
};

}  // namespace model

#endif  // PARKVMM_TESTS_MODEL_POWER_WORLD_H_
