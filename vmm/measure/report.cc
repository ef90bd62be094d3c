// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/report.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace vmm {
namespace {

using nlohmann::json;

json Optional(std::optional<int64_t> ns) {
  return ns ? json(*ns) : json(nullptr);
}

json Optional(const std::optional<Shares>& shares) {
  if (!shares) return nullptr;
  return {{"firmware", shares->firmware},
          {"vmm", shares->vmm},
          {"polling", shares->polling},
          {"kernel", shares->kernel}};
}

json ToJson(const StepTimes& times) {
  json by_cpu = json::object();
  for (const auto& [cpu, steps] : times) by_cpu[absl::StrCat(cpu)] = steps;
  return by_cpu;
}

json Optional(const std::optional<Steps>& steps) {
  if (!steps) return nullptr;
  return {{"down", ToJson(steps->down)}, {"up", ToJson(steps->up)}};
}

const char* NameOf(CameUpBy by) {
  switch (by) {
    case CameUpBy::kMark:
      return "mark";
    case CameUpBy::kNextKexec:
      return "next-kexec";
    case CameUpBy::kEnd:
      return "end";
    case CameUpBy::kSettled:
      return "settled";
    case CameUpBy::kStopped:
      return "stopped";
  }
  return "";
}

const char* NameOf(LostCpu::Fate fate) {
  switch (fate) {
    case LostCpu::Fate::kNotCalled:
      return "not-called";
    case LostCpu::Fate::kRefused:
      return "refused";
    case LostCpu::Fate::kNeverStarted:
      return "never-started";
  }
  return "";
}

json LostJson(const Boot& boot, absl::Span<const uint64_t> mpidrs) {
  json lost = json::array();
  for (const LostCpu& cpu : boot.lost) {
    const bool refused = cpu.fate == LostCpu::Fate::kRefused;
    lost.push_back({{"vcpu", cpu.vcpu},
                    {"mpidr", absl::StrFormat("0x%x", mpidrs[cpu.vcpu])},
                    {"fate", NameOf(cpu.fate)},
                    {"answer", refused ? json(cpu.answer) : json()}});
  }
  return lost;
}

std::string Cell(std::optional<int64_t> ns) {
  return ns ? Milliseconds(*ns) : "-";
}

// The cells of a table's row. Without times there is room for the verdict only.
std::string Row(const std::array<std::string, 9>& cells,
                absl::string_view verdict, Times times) {
  std::string row = absl::StrFormat("%-8s%11s", cells[0], cells[1]);
  if (times == Times::kShown) {
    absl::StrAppendFormat(&row, "%8s%7s%7s%7s%7s%7s%7s", cells[2], cells[3],
                          cells[4], cells[5], cells[6], cells[7], cells[8]);
  }
  return absl::StrCat(row, " ", verdict);
}

}  // namespace

std::string Milliseconds(int64_t ns) {
  const int digits = ns < 99'999'500      ? 3
                     : ns < 999'995'000   ? 2
                     : ns < 9'999'950'000 ? 1
                                          : 0;
  return absl::StrFormat("%.*f", digits, static_cast<double>(ns) / 1e6);
}

std::string CpusBack(const Boot& boot) {
  return absl::StrCat(boot.cpus_back, " of ", boot.cpus);
}

absl::string_view Verdict(const Boot& boot) {
  if (!boot.came_up) return "incomplete";
  return boot.crash || boot.cpus_back >= boot.cpus ? "pass" : "cpus-lost";
}

nlohmann::json ToJson(const Boot& boot, absl::Span<const uint64_t> mpidrs) {
  json per_cpu = json::array();
  for (const CpuTimes& cpu : boot.per_cpu) {
    per_cpu.push_back(
        {{"vcpu", cpu.vcpu},
         {"mpidr", absl::StrFormat("0x%x", mpidrs[cpu.vcpu])},
         {"left_ns", Optional(cpu.at.left)},
         {"off_ns", Optional(cpu.at.off)},
         {"known_ns", Optional(cpu.at.known)},
         {"called_ns", Optional(cpu.at.called)},
         {"started_ns", Optional(cpu.at.started)},
         {"kernel_before_off_ns", Optional(cpu.kernel_before_off)},
         {"vmm_off_ns", Optional(cpu.vmm_off)},
         {"firmware_off_ns", Optional(cpu.firmware_off)},
         {"guest_poll_ns", Optional(cpu.guest_poll)},
         {"vmm_on_ns", Optional(cpu.vmm_on)},
         {"firmware_on_ns", Optional(cpu.firmware_on)},
         {"kernel_after_on_ns", Optional(cpu.kernel_after_on)}});
  }
  const Phases& phases = boot.phases;
  const PhaseShares& shares = boot.shares;
  return {{"cpus", boot.cpus},
          {"cpus_back", boot.cpus_back},
          {"verdict", std::string(Verdict(boot))},
          {"announced", boot.announced},
          {"crash", boot.crash},
          {"came_up_by", boot.came_up ? json(NameOf(*boot.came_up)) : json()},
          {"lost", LostJson(boot, mpidrs)},
          {"doors",
           {{"cpu_off", boot.doors.cpu_off},
            {"park", boot.doors.park},
            {"cpu_on", boot.doors.cpu_on},
            {"release", boot.doors.release}}},
          {"begin_ns", Optional(boot.begin)},
          {"total_ns", Optional(boot.total)},
          {"teardown_ns", Optional(boot.teardown)},
          {"phase_ns",
           {{"prepare", Optional(phases.prepare)},
            {"down", Optional(phases.down)},
            {"jump", Optional(phases.jump)},
            {"early", Optional(phases.early)},
            {"up", Optional(phases.up)},
            {"userspace", Optional(phases.userspace)}}},
          {"split_ns",
           {{"prepare", Optional(shares.prepare)},
            {"down", Optional(shares.down)},
            {"jump", Optional(shares.jump)},
            {"early", Optional(shares.early)},
            {"up", Optional(shares.up)},
            {"userspace", Optional(shares.userspace)}}},
          {"per_cpu", per_cpu},
          {"steps_ns", Optional(boot.steps)}};
}

std::string TableHeading(Times times) {
  return Row({times == Times::kShown ? "[ms]" : "", "CPUs back", "prepare",
              "down", "jump", "early", "up", "user", "total"},
             "verdict", times);
}

std::string TableRow(const Boot& boot, Times times) {
  const Phases& phases = boot.phases;
  return Row({boot.number == 0 ? "boot" : absl::StrCat("kexec ", boot.number),
              CpusBack(boot), Cell(phases.prepare), Cell(phases.down),
              Cell(phases.jump), Cell(phases.early), Cell(phases.up),
              Cell(phases.userspace), Cell(boot.total)},
             Verdict(boot), times);
}

std::string PerCpuTable(const Boot& boot, absl::Span<const uint64_t> mpidrs) {
  std::string table = absl::StrFormat(
      "%-5s%-10s%12s%8s%8s%8s%8s%8s%12s\n", "vCPU", "MPIDR", "kernel->off",
      "VMM off", "fw off", "poll", "VMM on", "fw on", "kernel on->");
  for (const CpuTimes& cpu : boot.per_cpu) {
    absl::StrAppendFormat(
        &table, "%-5d%-10s%12s%8s%8s%8s%8s%8s%12s\n", cpu.vcpu,
        absl::StrFormat("0x%x", mpidrs[cpu.vcpu]), Cell(cpu.kernel_before_off),
        Cell(cpu.vmm_off), Cell(cpu.firmware_off), Cell(cpu.guest_poll),
        Cell(cpu.vmm_on), Cell(cpu.firmware_on), Cell(cpu.kernel_after_on));
  }
  return table;
}

}  // namespace vmm
