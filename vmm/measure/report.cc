// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace vmm {
namespace {

nlohmann::json Optional(std::optional<int64_t> ns) {
  return ns ? nlohmann::json(*ns) : nlohmann::json(nullptr);
}

nlohmann::json Optional(const std::optional<Shares>& shares) {
  if (!shares) return nullptr;
  return {{"firmware", shares->firmware},
          {"vmm", shares->vmm},
          {"polling", shares->polling},
          {"kernel", shares->kernel}};
}

nlohmann::json ToJson(const StepTimes& times) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [cpu, steps] : times) json[absl::StrCat(cpu)] = steps;
  return json;
}

nlohmann::json Optional(const std::optional<Steps>& steps) {
  if (!steps) return nullptr;
  return {{"down", ToJson(steps->down)}, {"up", ToJson(steps->up)}};
}

std::string Milliseconds(std::optional<int64_t> ns) {
  if (!ns) return "-";
  return absl::StrFormat("%.3f", static_cast<double>(*ns) / 1e6);
}

}  // namespace

absl::string_view Verdict(const Boot& boot) {
  if (!boot.complete) return "incomplete";
  return boot.cpus_back >= boot.cpus ? "pass" : "cpus-lost";
}

nlohmann::json ToJson(const Boot& boot, absl::Span<const uint64_t> mpidrs) {
  nlohmann::json per_cpu = nlohmann::json::array();
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
          {"doors",
           {{"cpu_off", boot.doors.cpu_off},
            {"park", boot.doors.park},
            {"cpu_on", boot.doors.cpu_on},
            {"release", boot.doors.release}}},
          {"begin_ns", Optional(boot.begin)},
          {"total_ns", Optional(boot.total)},
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

std::string TableRow(size_t number, const Boot& boot) {
  const Phases& phases = boot.phases;
  return absl::StrFormat(
      "%-10s %9s %10s %10s %10s %10s %10s %10s %11s  %s",
      number == 0 ? "first boot" : absl::StrCat("kexec ", number),
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
