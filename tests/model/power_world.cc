// SPDX-License-Identifier: Apache-2.0
#include "tests/model/power_world.h"

#include <cstdlib>
#include <variant>

namespace model {

using psci::Door;
using psci::Mpidr;
using psci::PowerState;
using psci::VcpuId;

namespace {

std::vector<Mpidr> Topology(uint32_t cpus) {
  std::vector<Mpidr> topology;
  for (uint32_t i = 0; i < cpus; ++i) topology.push_back(Mpidr{i});
  return topology;
}

}  // namespace

PowerWorld::PowerWorld(uint32_t cpus, uint32_t on)
    : table(Topology(cpus)),
      dispatcher(table, [](uint64_t at) { return at >= 0x40000000; }),
      cpus_(cpus) {
  for (uint32_t i = 0; i < on; ++i) {
    if (!table.PowerOn(VcpuId{i}, {}) || !table.AwaitBoot(VcpuId{i})) {
      std::abort();
    }
    cpus_[i].executes = 1;
  }
}

void PowerWorld::Won(VcpuId target, uint64_t id) {
  Cpu& it = cpu(target);
  it.won = it.won + 1;
  it.won_ids = it.won_ids + id;
}

bool PowerWorld::CpuOn(VcpuId target, uint64_t id) {
  const bool too_late = stopped_ != 0;
  const psci::Outcome outcome = dispatcher.Handle(
      {PSCI_CPU_ON_64, {psci::Index(target), EntryOf(id), id}});
  const auto x0 = static_cast<int64_t>(std::get<psci::Return>(outcome).x0);
  Require(x0 == PSCI_RET_SUCCESS || x0 == PSCI_RET_ALREADY_ON,
          "CPU_ON is neither SUCCESS nor ALREADY_ON");
  if (x0 != PSCI_RET_SUCCESS) return false;
  Require(!too_late, "CPU_ON starts a CPU after the stop");
  Won(target, id);
  return true;
}

bool PowerWorld::Release(VcpuId target, Door door, uint64_t id) {
  if (!table.Release(target, door, ContextOf(id))) return false;
  Released(target, id);
  return true;
}

void PowerWorld::Released(VcpuId target, uint64_t id) { Won(target, id); }

bool PowerWorld::SaysOn(VcpuId target) {
  const psci::Outcome outcome =
      dispatcher.Handle({PSCI_AFFINITY_INFO_64, {psci::Index(target), 0, 0}});
  const uint64_t x0 = std::get<psci::Return>(outcome).x0;
  Require(x0 == PSCI_AFFINITY_ON || x0 == PSCI_AFFINITY_OFF,
          "AFFINITY_INFO is neither ON nor OFF");
  return x0 == PSCI_AFFINITY_ON;
}

void PowerWorld::Off(VcpuId self, Door door) {
  cpu(self).executes = 0;
  cpu(self).leaves = 1;
  const bool last = table.PowerOff(self, door);
  cpu(self).leaves = 0;
  if (!last) return;
  told_that_all_are_off_ = told_that_all_are_off_ + 1;
  for (const Cpu& each : cpus_) {
    Require(!each.executes && each.won <= each.started,
            "told that all CPUs are off while one is not");
  }
}

uint64_t PowerWorld::Boot(VcpuId self) {
  const auto context = table.AwaitBoot(self);
  if (!context) {
    Require(stops_ != 0, "a stop that nobody asked for");
    return 0;
  }
  Cpu& it = cpu(self);
  const uint64_t id = (context->entry - EntryOf(0)) / 4;
  Require(!context_counts || *context == ContextOf(id),
          "a context of two callers");
  it.executes = 1;
  it.started = it.started + 1;
  it.started_ids = it.started_ids + id;
  return id;
}

void PowerWorld::Stop() {
  stops_ = 1;
  table.Shutdown();
  stopped_ = 1;
}

const char* PowerWorld::WrongIn() const {
  uint32_t not_off = 0;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const PowerState state = table.StateOf(VcpuId{i});
    if (state != PowerState::kOff) ++not_off;
    if (cpus_[i].executes && state != PowerState::kOn) {
      return "a CPU that executes guest code is not on";
    }
    if (!cpus_[i].executes && !cpus_[i].leaves && state == PowerState::kOn) {
      return "on after CPU_OFF, or before its start";
    }
    if (cpus_[i].won > cpus_[i].started && state == PowerState::kOff) {
      return "off after CPU_ON has won";
    }
  }
  return table.CountOn() <= not_off ? nullptr
                                    : "counts more CPUs than are not off";
}

const char* PowerWorld::WrongAtRest() const {
  uint32_t on = 0;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const Cpu& it = cpus_[i];
    const PowerState state = table.StateOf(VcpuId{i});
    if (it.executes) ++on;
    if (stops_) {
      // A start may have come too late to be taken, no more.
      if (it.started > it.won) return "a start that nobody asked for";
      continue;
    }
    if (it.won != it.started) return "not one start for each SUCCESS";
    if (it.won_ids != it.started_ids) return "a start with a loser's context";
    if (state != (it.executes ? PowerState::kOn : PowerState::kOff)) {
      return "neither on nor off at rest";
    }
  }
  if (stops_) return nullptr;
  if (table.CountOn() != on) return "counts otherwise than are on";
  if (told_that_all_are_off_ != (on == 0 ? 1 : 0)) {
    return "not told once that all CPUs are off";
  }
  return nullptr;
}

}  // namespace model
