// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/conclusion.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

// Concludes a run whose guest ended as it should, by its kexecs and their CPUs.
Conclusion JudgeKexecs(const RunFacts& facts) {
  if (!facts.splat.empty()) {
    return {ExitCode::kVerdict, "guest-splat",
            absl::StrCat("the guest's kernel complained: ", facts.splat)};
  }
  uint32_t kexecs = 0;
  for (const Boot& boot : facts.boots) {
    if (!boot.kexec || !boot.complete) continue;
    ++kexecs;
    // A crash kernel chooses how many CPUs it wants.
    if (!boot.announced) continue;
    if (boot.cpus_back < boot.cpus) {
      return {ExitCode::kCpuStuck, "cpus-lost",
              absl::StrFormat("kexec %d brought back %d of %d CPUs", kexecs,
                              boot.cpus_back, boot.cpus)};
    }
  }
  if (facts.expected_kexecs && kexecs != *facts.expected_kexecs) {
    return {ExitCode::kVerdict, "kexecs-missing",
            absl::StrFormat("%d kexecs were expected, %d came up",
                            *facts.expected_kexecs, kexecs)};
  }
  return {};
}

// A rule says how a run ended, or nothing if it does not apply.
using Rule = std::optional<Conclusion> (*)(const RunFacts& facts);

std::optional<Conclusion> OurFault(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kVmmError) return std::nullopt;
  return Conclusion{ExitCode::kVmmBug, "vmm-bug", facts.stop.detail};
}

std::optional<Conclusion> OutputLost(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kOutputLost) return std::nullopt;
  return Conclusion{ExitCode::kHostCannot, "output-lost", facts.stop.detail};
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

std::optional<Conclusion> TimedOut(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kTimeout) return std::nullopt;
  if (facts.in_kexec) {
    return Conclusion{ExitCode::kBootTimeout, "kexec-timeout",
                      facts.stop.detail};
  }
  const bool never_booted =
      !facts.saw_kernel || (facts.expected_kexecs && !facts.boots.empty() &&
                            !facts.boots.front().complete);
  if (never_booted) {
    return Conclusion{ExitCode::kBootTimeout, "boot-timeout",
                      facts.stop.detail};
  }
  return Conclusion{ExitCode::kTimeout, "timeout", facts.stop.detail};
}

std::optional<Conclusion> GuestReset(const RunFacts& facts) {
  if (facts.stop.kind != Kind::kReset) return std::nullopt;
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
  return Conclusion{ExitCode::kUnexpectedReset, "power-off-in-kexec",
                    "the guest powered off in the middle of a kexec"};
}

// The first rule that applies concludes the run. What is the VMM's own, or the
// host's, comes before what is the guest's, and a cause before what may follow
// from it: a panic before the reset or the silence after it.
constexpr Rule kRules[] = {
    OurFault,     OutputLost, Interrupted,     ParkedCpuMistreated,
    GuestVerdict, VcpuStuck,  GuestPanicked,   TimedOut,
    GuestReset,   AllCpusOff, PowerOffInKexec,
};

}  // namespace

Conclusion Conclude(const RunFacts& facts) {
  for (const Rule rule : kRules) {
    if (auto conclusion = rule(facts)) return *std::move(conclusion);
  }
  return JudgeKexecs(facts);
}

}  // namespace vmm
