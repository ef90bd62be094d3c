// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/attribution.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "absl/algorithm/container.h"

namespace vmm {
namespace {

using Stamp = std::optional<int64_t>;

// What comes out of order is not one after the other: it has no difference.
Stamp Difference(Stamp from, Stamp to) {
  if (!from || !to || *to < *from) return std::nullopt;
  return *to - *from;
}

void KeepEarliest(Stamp& when, int64_t ns) {
  when = std::min(when.value_or(ns), ns);
}

void KeepLatest(Stamp& when, int64_t ns) {
  when = std::max(when.value_or(ns), ns);
}

// The order of who has a moment: the first that holds.
enum Who : size_t { kFirmware, kVmm, kPolling, kWhos };

// A way through the VMM or of polling begins (+1) or ends (-1).
struct Edge {
  int64_t ns;
  Who who;
  int change;
};

class Edges {
 public:
  void Add(Who who, int64_t begin, int64_t end) {
    if (begin >= end) return;
    edges_.push_back({begin, who, +1});
    edges_.push_back({end, who, -1});
  }
  // Modelled firmware has the beginning of a way through the VMM.
  void AddWay(int64_t begin, int64_t end, int64_t firmware) {
    const int64_t vmm = begin + std::clamp<int64_t>(firmware, 0, end - begin);
    Add(kFirmware, begin, vmm);
    Add(kVmm, vmm, end);
  }
  std::vector<Edge> Sorted() && {
    std::sort(edges_.begin(), edges_.end(),
              [](const Edge& a, const Edge& b) { return a.ns < b.ns; });
    return std::move(edges_);
  }

 private:
  std::vector<Edge> edges_;
};

bool LeaveIsTimed(const CpuRecord& cpu) {
  return cpu.leave && !cpu.leave->sampled;
}

bool ArrivalIsTimed(const CpuRecord& cpu) {
  return cpu.arrival && !cpu.arrival->sampled;
}

std::vector<int64_t> Leaves(absl::Span<const CpuRecord> cpus) {
  std::vector<int64_t> leaves;
  for (const CpuRecord& cpu : cpus) {
    if (LeaveIsTimed(cpu)) leaves.push_back(cpu.leave->left);
  }
  std::sort(leaves.begin(), leaves.end());
  return leaves;
}

std::vector<Edge> EdgesOf(absl::Span<const CpuRecord> cpus) {
  const std::vector<int64_t> leaves = Leaves(cpus);
  Edges edges;
  for (const CpuRecord& cpu : cpus) {
    if (LeaveIsTimed(cpu) && cpu.leave->off) {
      const int64_t off = *cpu.leave->off;
      edges.AddWay(cpu.leave->left, off, cpu.leave->firmware);
      const int64_t known = cpu.leave->known.value_or(off);
      const auto next = std::lower_bound(leaves.begin(), leaves.end(), off);
      if (next == leaves.end() || *next > known) {
        edges.Add(kPolling, off, known);
      }
    }
    if (ArrivalIsTimed(cpu) && cpu.arrival->started) {
      edges.AddWay(cpu.arrival->called, *cpu.arrival->started,
                   cpu.arrival->firmware);
    }
  }
  return std::move(edges).Sorted();
}

std::optional<Shares> SharesBetween(Stamp begin, Stamp end,
                                    absl::Span<const Edge> edges) {
  if (!Difference(begin, end)) return std::nullopt;
  std::array<int, kWhos> active = {};
  std::array<int64_t, kWhos + 1> total = {};
  int64_t here = *begin;
  const auto spend_until = [&](int64_t ns) {
    const int64_t there = std::clamp(ns, here, *end);
    const auto who = std::find_if(active.begin(), active.end(),
                                  [](int count) { return count > 0; });
    total[static_cast<size_t>(who - active.begin())] += there - here;
    here = there;
  };
  for (const Edge& edge : edges) {
    spend_until(edge.ns);
    active[edge.who] += edge.change;
  }
  spend_until(*end);
  // cppcheck-suppress containerOutOfBounds ; it has kWhos + 1
  const int64_t kernel = total[kWhos];
  return Shares{.firmware = total[kFirmware],
                .vmm = total[kVmm],
                .polling = total[kPolling],
                .kernel = kernel};
}

template <typename Key>
void SortBy(std::vector<CpuTimes>& cpus, Key key) {
  std::stable_sort(
      cpus.begin(), cpus.end(),
      [&key](const CpuTimes& a, const CpuTimes& b) { return key(a) < key(b); });
}

Stamp PrepareEnd(const Boundaries& at) {
  return at.one_left ? std::nullopt : at.first_left;
}

Stamp DownBegin(const Boundaries& at) {
  return at.one_left ? at.kexec : at.first_left;
}

// What is not `firmware`'s of the time from `begin` to `end`.
Stamp Rest(Stamp begin, Stamp end, int64_t firmware) {
  if (!begin || !end) return std::nullopt;
  return std::max<int64_t>(0, *end - *begin - firmware);
}

}  // namespace

void AddCpus(Boundaries& at, absl::Span<const CpuRecord> cpus) {
  const std::vector<int64_t> leaves = Leaves(cpus);
  at.one_left = leaves.size() == 1;
  if (!leaves.empty()) at.first_left = leaves.front();
  for (const CpuRecord& cpu : cpus) {
    if (cpu.leave && cpu.leave->off) KeepLatest(at.last_off, *cpu.leave->off);
    if (cpu.arrival) {
      KeepEarliest(at.first_called, cpu.arrival->called);
      if (cpu.arrival->started) {
        KeepLatest(at.last_started, *cpu.arrival->started);
      }
    }
  }
  if (at.last_off && at.version) {
    at.last_off = std::min(*at.last_off, *at.version);
  }
  const auto is_sampled = [](const auto& way) { return way && way->sampled; };
  if (absl::c_any_of(
          cpus, [&](const CpuRecord& cpu) { return is_sampled(cpu.leave); })) {
    at.first_left = at.last_off = std::nullopt;
  }
  if (absl::c_any_of(cpus, [&](const CpuRecord& cpu) {
        return is_sampled(cpu.arrival);
      })) {
    at.first_called = at.last_started = std::nullopt;
  }
}

Phases PhasesOf(const Boundaries& at) {
  return {.prepare = Difference(at.kexec, PrepareEnd(at)),
          .down = Difference(DownBegin(at), at.last_off),
          .jump = Difference(at.last_off, at.version),
          .early = Difference(at.version, at.first_called),
          .up = Difference(at.first_called, at.last_started),
          .userspace = Difference(at.last_started, at.up)};
}

PhaseShares SharesOf(const Boundaries& at, absl::Span<const CpuRecord> cpus) {
  const std::vector<Edge> edges = EdgesOf(cpus);
  return {
      .prepare = SharesBetween(at.kexec, PrepareEnd(at), edges),
      .down = SharesBetween(DownBegin(at), at.last_off, edges),
      .jump = SharesBetween(at.last_off, at.version, edges),
      .early = SharesBetween(at.version, at.first_called, edges),
      .up = SharesBetween(at.first_called, at.last_started, edges),
      .userspace = SharesBetween(at.last_started, at.up, edges),
  };
}

std::vector<CpuTimes> PerCpu(int64_t begin, const Boundaries& at,
                             absl::Span<const CpuRecord> cpus) {
  const auto since = [begin](Stamp ns) { return Difference(begin, ns); };
  std::vector<CpuTimes> result;
  for (uint32_t i = 0; i < cpus.size(); ++i) {
    const std::optional<Leave>& leave = cpus[i].leave;
    const std::optional<Arrival>& arrival = cpus[i].arrival;
    if (!leave && !arrival) continue;
    CpuTimes cpu = {.vcpu = i};
    if (LeaveIsTimed(cpus[i])) {
      cpu.at.left = since(leave->left);
      cpu.at.off = since(leave->off);
      cpu.at.known = since(leave->known);
      cpu.vmm_off = Rest(leave->left, leave->off, leave->firmware);
      if (leave->off) cpu.firmware_off = leave->firmware;
      cpu.guest_poll = Difference(leave->off, leave->known);
    }
    if (ArrivalIsTimed(cpus[i])) {
      cpu.at.called = since(arrival->called);
      cpu.at.started = since(arrival->started);
      cpu.vmm_on = Rest(arrival->called, arrival->started, arrival->firmware);
      if (arrival->started) cpu.firmware_on = arrival->firmware;
    }
    result.push_back(cpu);
  }
  // CPUs that never left come first here, so they are no one's predecessor.
  SortBy(result, [](const CpuTimes& cpu) { return cpu.at.left; });
  Stamp before = since(at.kexec);
  for (CpuTimes& cpu : result) {
    if (!cpu.at.left) continue;
    cpu.kernel_before_off = Difference(before, cpu.at.left);
    before = cpu.at.left;
  }
  // Those that were called come first, the others stay in order.
  SortBy(result, [](const CpuTimes& cpu) {
    return std::pair(!cpu.at.called, cpu.at.called);
  });
  for (size_t i = 0; i + 1 < result.size(); ++i) {
    result[i].kernel_after_on =
        Rest(result[i].at.started, result[i + 1].at.called, 0);
  }
  return result;
}

Doors DoorsOf(absl::Span<const CpuRecord> cpus) {
  Doors doors;
  for (const CpuRecord& cpu : cpus) {
    if (cpu.leave) ++(cpu.leave->parked ? doors.park : doors.cpu_off);
    if (cpu.arrival && cpu.arrival->started) {
      ++(cpu.arrival->released ? doors.release : doors.cpu_on);
    }
  }
  return doors;
}

std::vector<LostCpu> LostOf(absl::Span<const CpuRecord> cpus) {
  using Fate = LostCpu::Fate;
  std::vector<LostCpu> lost;
  for (uint32_t i = 0; i < cpus.size(); ++i) {
    const CpuRecord& cpu = cpus[i];
    if (cpu.arrival) {
      if (!cpu.arrival->started) lost.push_back({i, Fate::kNeverStarted});
    } else if (cpu.refused) {
      lost.push_back({i, Fate::kRefused, *cpu.refused});
    } else if (cpu.leave) {
      lost.push_back({i, Fate::kNotCalled});
    }
  }
  return lost;
}

}  // namespace vmm
