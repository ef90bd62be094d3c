// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/park_pages.h"

#include "psci-emul/park_abi.h"

namespace psci {

ParkPages::Arrival ParkPages::Enter(VcpuId self, size_t page, uint64_t loop) {
  cpus_[Index(self)] = {};
  Page& entered = pages_[page];
  if (entered.occupant) {
    return {.fault = ParkFault::kPageShared, .value = Index(*entered.occupant)};
  }
  if (parked_ == 0) loop_ = loop;
  entered = {.occupant = self, .loop = loop};
  cpus_[Index(self)].page = page;
  ++parked_;
  if (loop == loop_) return {.occupies = true};
  return {.occupies = true, .fault = ParkFault::kForeignLoop, .value = loop};
}

void ParkPages::EnterBeside(VcpuId self) { cpus_[Index(self)] = {}; }

std::vector<VcpuId> ParkPages::Unannounced() const {
  std::vector<VcpuId> cpus;
  for (uint32_t i = 0; i < cpus_.size(); ++i) {
    if (cpus_[i].off && !cpus_[i].announced) cpus.push_back(VcpuId{i});
  }
  return cpus;
}

std::optional<size_t> ParkPages::Announce(VcpuId cpu) {
  Cpu& state = cpus_[Index(cpu)];
  if (state.announced) return std::nullopt;
  state.announced = true;
  return state.page;
}

ExitOutcome ParkPages::OnExit(size_t page,
                              std::optional<ParkFault> bad_entry) const {
  const auto& [occupant, loop, released, noted] = pages_[page];
  if (!occupant) {
    if (!released) return ExitWaits{};
    return ExitRefused{ParkFault::kDoubleRelease, std::nullopt};
  }
  if (bad_entry) return ExitRefused{*bad_entry, *occupant};
  return ExitReleases{*occupant};
}

ParkPages::AfterRelease ParkPages::Released(size_t page, bool started) {
  const bool announced = cpus_[Index(*pages_[page].occupant)].announced;
  if (!started && !announced) return AfterRelease::kWaits;
  Vacate(page);
  return started ? AfterRelease::kVacant : AfterRelease::kTooLate;
}

std::optional<ParkPages::Departure> ParkPages::Leave(VcpuId self) {
  Cpu& cpu = cpus_[Index(self)];
  cpu.announced = true;  // It runs: its magic is not to be shown any more.
  if (!cpu.page) return std::nullopt;
  const Departure departure = {*cpu.page, pages_[*cpu.page].loop};
  Vacate(departure.page);
  return departure;
}

void ParkPages::Vacate(size_t page) {
  cpus_[Index(*pages_[page].occupant)].page.reset();
  pages_[page] = {.released = true};
  --parked_;
}

std::optional<ParkPages::Finding> ParkPages::Inspect(size_t page,
                                                     const Words& words,
                                                     bool overdue) {
  Page& looked_at = pages_[page];
  if (!IsWorthALook(page)) return std::nullopt;
  // An exit that nobody saw stored. It must not release the next CPU.
  if (looked_at.released && words.exit != 0) {
    return Finding{ParkFault::kDoubleRelease, words.exit, true};
  }
  if (words.magic == PARK_MAGIC) {
    looked_at.noted = true;
    return Finding{ParkFault::kMagicWithoutCpu, words.magic, false};
  }
  if (overdue && words.loop != 0 && words.loop == loop_ &&
      !looked_at.released) {
    looked_at.noted = true;
    return Finding{ParkFault::kCpuWithoutMagic, words.loop, false};
  }
  return std::nullopt;
}

}  // namespace psci
