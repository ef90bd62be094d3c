// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/report.h"

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

std::string Milliseconds(std::optional<int64_t> ns) {
  if (!ns) return "-";
  return absl::StrFormat("%.3f", static_cast<double>(*ns) / 1e6);
}

}  // namespace

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

std::string TableHeading() {
  return absl::StrFormat("%-10s %9s %10s %10s %10s %10s %10s %10s %11s  %s",
                         "[ms]", "CPUs back", "prepare", "down", "jump",
                         "early", "up", "userspace", "total", "verdict");
}

std::string TableRow(const Boot& boot) {
  const Phases& phases = boot.phases;
  return absl::StrFormat(
      "%-10s %9s %10s %10s %10s %10s %10s %10s %11s  %s",
      boot.number == 0 ? "first boot" : absl::StrCat("kexec ", boot.number),
      absl::StrCat(boot.cpus_back, " of ", boot.cpus),
      Milliseconds(phases.prepare), Milliseconds(phases.down),
      Milliseconds(phases.jump), Milliseconds(phases.early),
      Milliseconds(phases.up), Milliseconds(phases.userspace),
      Milliseconds(boot.total), Verdict(boot));
}

std::string PerCpuTable(const Boot& boot, absl::Span<const uint64_t> mpidrs) {
  std::string table =
      absl::StrFormat("%-6s %-12s %12s %12s %12s %12s %12s %12s %12s\n", "vCPU",
                      "MPIDR", "kernel->off", "VMM off", "firmware off",
                      "guest poll", "VMM on", "firmware on", "kernel on->");
  for (const CpuTimes& cpu : boot.per_cpu) {
    absl::StrAppendFormat(
        &table, "%-6d %-12s %12s %12s %12s %12s %12s %12s %12s\n", cpu.vcpu,
        absl::StrFormat("0x%x", mpidrs[cpu.vcpu]),
        Milliseconds(cpu.kernel_before_off), Milliseconds(cpu.vmm_off),
        Milliseconds(cpu.firmware_off), Milliseconds(cpu.guest_poll),
        Milliseconds(cpu.vmm_on), Milliseconds(cpu.firmware_on),
        Milliseconds(cpu.kernel_after_on));
  }
  return table;
}

}  // namespace vmm
