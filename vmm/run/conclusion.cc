// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/conclusion.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "psci-emul/smccc.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

// Of many CPUs that are lost, so many are named.
constexpr size_t kNamedCpus = 4;

std::string FateOf(const LostCpu& cpu) {
  switch (cpu.fate) {
    case LostCpu::Fate::kNotCalled:
      return absl::StrFormat("nobody called CPU_ON for vCPU %d", cpu.vcpu);
    case LostCpu::Fate::kRefused:
      return absl::StrFormat("CPU_ON of vCPU %d was answered %s", cpu.vcpu,
                             psci::ReturnName(cpu.answer));
    case LostCpu::Fate::kNeverStarted:
      return absl::StrFormat("vCPU %d was called and never started", cpu.vcpu);
  }
  return "";
}

std::string FatesOf(absl::Span<const LostCpu> lost) {
  std::string text;
  for (const LostCpu& cpu : lost.subspan(0, kNamedCpus)) {
    absl::StrAppend(&text, text.empty() ? ": " : "; ", FateOf(cpu));
  }
  if (lost.size() > kNamedCpus) {
    absl::StrAppendFormat(&text, "; and %d more", lost.size() - kNamedCpus);
  }
  return text;
}

bool LostCpus(const Boot& boot, bool raw) {
  if (!boot.came_up || boot.crash) return false;
  if (boot.kexec) return boot.cpus_back < boot.cpus;
  return !raw && !boot.lost.empty();
}

// Concludes a run whose guest ended as it should, by its kexecs.
Conclusion JudgeKexecs(const RunFacts& facts) {
  if (!facts.splat.empty()) {
    return {ExitCode::kVerdict, "guest-splat",
            absl::StrCat("the guest's kernel complained: ", facts.splat)};
  }
  const auto kexecs =
      facts.other_kexecs + std::count_if(facts.boots.begin(), facts.boots.end(),
                                         [](const Boot& boot) {
                                           return boot.kexec && boot.came_up;
                                         });
  if (facts.expected_kexecs && kexecs != *facts.expected_kexecs) {
    return {ExitCode::kVerdict, "kexecs-missing",
            absl::StrFormat("%d kexecs were expected, %d came up",
                            *facts.expected_kexecs, kexecs)};
  }
  for (const Boot& boot : facts.boots) {
    if (auto conclusion = JudgeTimes(boot, facts.limits)) return *conclusion;
  }
  return {};
}

constexpr char kCommandFailed[] = "command-failed";

// A rule says how a run ended, or nothing if it does not apply.
using Rule = std::optional<Conclusion> (*)(const RunFacts& facts);

std::optional<Conclusion> OurFault(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kVmmError) return std::nullopt;
  return Conclusion{ExitCode::kVmmBug, "vmm-bug", facts.stop.detail};
}

std::optional<Conclusion> HostFailed(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kHostError) return std::nullopt;
  return Conclusion{ExitCode::kHostCannot, "host-failed", facts.stop.detail};
}

std::optional<Conclusion> Interrupted(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kInterrupt) return std::nullopt;
  return Conclusion{ExitCode::kInterrupted, "interrupted", facts.stop.detail};
}

std::optional<Conclusion> ParkedCpuMistreated(const RunFacts& facts) {
  if (!facts.strict || facts.diagnoses.empty()) return std::nullopt;
  const psci::ParkFault fault = facts.diagnoses.front().fault;
  return Conclusion{ExitCode::kCpuStuck, std::string(psci::IdOf(fault)),
                    absl::StrCat("--strict: ", psci::SentenceOf(fault))};
}

std::optional<Conclusion> CpusLost(const RunFacts& facts) {
  for (const Boot& boot : facts.boots) {
    if (auto conclusion = JudgeBoot(boot, facts.raw)) return conclusion;
  }
  return std::nullopt;
}

// Whatever happens to the guest afterwards.
std::optional<Conclusion> CommandFailed(const RunFacts& facts) {
  if (!facts.command || facts.command->status.value_or(0) == 0) {
    return std::nullopt;
  }
  const auto code = static_cast<ExitCode>(*facts.command->status);
  if (!facts.command->broken.empty()) {
    return Conclusion{code, "command-not-run",
                      absl::StrCat("the guest cannot run the command: ",
                                   facts.command->broken)};
  }
  return Conclusion{
      code, kCommandFailed,
      absl::StrFormat("the command ended with %d", *facts.command->status)};
}

std::optional<Conclusion> GuestVerdict(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kVerdict) return std::nullopt;
  if (facts.stop.code == 0) return JudgeKexecs(facts);
  return Conclusion{
      ExitCode::kVerdict, "guest-verdict",
      absl::StrFormat("the guest's verdict is FAIL (code %d, value %d)",
                      facts.stop.code, facts.stop.value)};
}

std::optional<Conclusion> VcpuStuck(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kStuck) return std::nullopt;
  return Conclusion{ExitCode::kCpuStuck, "vcpu-stuck", facts.stop.detail};
}

std::optional<Conclusion> GuestPanicked(const RunFacts& facts) {
  if (facts.panic.empty()) return std::nullopt;
  return Conclusion{ExitCode::kGuestPanic, "guest-panic",
                    absl::StrCat("the guest panicked: ", facts.panic)};
}

// The page size that every CPU has, in practice.
constexpr uint32_t kSmallPage = 4096;

// What may explain that nothing was heard of a guest.
std::string WhatIsKnown(const RunFacts& facts) {
  std::string known;
  if (!facts.saw_console) known = "; its console stayed empty";
  if (facts.mistakes.unowned_accesses > 0) {
    absl::StrAppendFormat(
        &known, "; it made %d accesses to where nothing is, first at %#x",
        facts.mistakes.unowned_accesses, facts.mistakes.first_unowned);
  }
  if (facts.page_size > kSmallPage) {
    absl::StrAppendFormat(
        &known, "; its kernel needs %d KiB pages, which this CPU may not have",
        facts.page_size >> 10);
  }
  return known;
}

bool NeverBooted(const RunFacts& facts) {
  if (facts.command) return facts.command->started == 0;
  if (!facts.saw_kernel && !facts.saw_console) return true;
  return facts.expected_kexecs && !facts.boots.empty() &&
         !facts.boots.front().came_up;
}

std::optional<Conclusion> TimedOut(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kTimeout) return std::nullopt;
  if (facts.in_kexec) {
    return Conclusion{ExitCode::kBootTimeout, "kexec-timeout",
                      facts.stop.detail};
  }
  if (NeverBooted(facts)) {
    return Conclusion{ExitCode::kBootTimeout, "boot-timeout",
                      absl::StrCat(facts.stop.detail, WhatIsKnown(facts))};
  }
  return Conclusion{ExitCode::kTimeout, "timeout", facts.stop.detail};
}

std::optional<Conclusion> GuestReset(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kReset) return std::nullopt;
  if (facts.reset_is_end && !facts.in_kexec) return std::nullopt;
  return Conclusion{
      ExitCode::kUnexpectedReset, "reset",
      facts.stop.reset2
          ? absl::StrFormat(
                "the guest called SYSTEM_RESET2, type %#x, cookie %#x",
                facts.stop.code, facts.stop.value)
          : "the guest called SYSTEM_RESET"};
}

std::optional<Conclusion> AllCpusOff(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kAllOff) return std::nullopt;
  return Conclusion{ExitCode::kCpuStuck, "all-cpus-off",
                    "every CPU turned itself off; none is left to turn one on"};
}

std::optional<Conclusion> PowerOffInKexec(const RunFacts& facts) {
  if (!facts.in_kexec) return std::nullopt;
  return Conclusion{
      ExitCode::kUnexpectedReset, "power-off-in-kexec",
      absl::StrCat("the guest ",
                   facts.stop.kind == Kind::kHalted ? "halted" : "powered off",
                   " in the middle of a kexec")};
}

std::optional<Conclusion> CommandUnfinished(const RunFacts& facts) {
  if (!facts.command || facts.command->status) return std::nullopt;
  return Conclusion{
      ExitCode::kVerdict, "command-unfinished",
      facts.command->started == 0
          ? "the guest ended before it ran the command"
          : "the guest ended before the command did, and its status is lost"};
}

// The first rule that applies concludes the run. What is the VMM's own, or the
// host's, comes before what is the guest's, and a cause before what may follow
// from it: a lost CPU before what the guest says of it, a panic before the
// reset or the silence after it. What the guest did comes before what became of
// our outputs, for it is still to be said.
constexpr Rule kRules[] = {
    OurFault,      HostFailed,   Interrupted,     ParkedCpuMistreated, CpusLost,
    CommandFailed, GuestVerdict, VcpuStuck,       GuestPanicked,       TimedOut,
    GuestReset,    AllCpusOff,   PowerOffInKexec, CommandUnfinished,
};

Conclusion ConcludeGuest(const RunFacts& facts) {
  for (const Rule rule : kRules) {
    if (auto conclusion = rule(facts)) return *std::move(conclusion);
  }
  return JudgeKexecs(facts);
}

}  // namespace

std::optional<CommandFacts> CommandFacts::Of(const CommandLink* link) {
  if (link == nullptr) return std::nullopt;
  return CommandFacts{.started = link->started(),
                      .status = link->status(),
                      .broken = link->broken()};
}

std::optional<Conclusion> JudgeBoot(const Boot& boot, bool raw) {
  if (!LostCpus(boot, raw)) return std::nullopt;
  return Conclusion{
      ExitCode::kCpuStuck, "cpus-lost",
      absl::StrFormat(
          "%s %d of %d CPUs%s",
          boot.kexec ? absl::StrFormat("kexec %d brought back", boot.number)
                     : "the first boot brought up",
          boot.cpus_back, boot.cpus, FatesOf(boot.lost))};
}

std::optional<Conclusion> JudgeTimes(const Boot& boot,
                                     absl::Span<const Limit> limits) {
  const auto excess = FirstExcess(boot, limits);
  if (!excess) return std::nullopt;
  return Conclusion{ExitCode::kVerdict,
                    excess->ns ? "too-slow" : "not-measured",
                    excess->Sentence(boot)};
}

bool Conclusion::IsCommands() const { return id == kCommandFailed; }

std::string Conclusion::Line() const {
  return absl::StrCat(sentence, " [", id, "]");
}

bool Conclusion::NeedsPostMortem() const {
  return code != ExitCode::kOk && !IsCommands();
}

Conclusion Conclude(const RunFacts& facts) {
  Conclusion conclusion = ConcludeGuest(facts);
  if (conclusion.code == ExitCode::kOk && !facts.lost_output.empty()) {
    conclusion = {ExitCode::kOutputLost, "output-lost", facts.lost_output};
  }
  return conclusion;
}

}  // namespace vmm
