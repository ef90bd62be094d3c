// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/conclusion.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

// The guest ended as it should; what of its kexecs and their CPUs?
Conclusion JudgeKexecs(const RunFacts& facts) {
  if (!facts.splat.empty()) {
    return {ExitCode::kVerdict, "guest-splat",
            absl::StrCat("the guest's kernel complained: ", facts.splat)};
  }
  uint32_t kexecs = 0;
  for (const Boot& boot : facts.boots) {
    if (!boot.kexec || !boot.complete) continue;
    ++kexecs;
    // Into a crash kernel: how many CPUs that one wants is its own affair.
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

Conclusion JudgeTimeout(const RunFacts& facts) {
  const bool never_booted =
      !facts.saw_kernel || (facts.expected_kexecs && !facts.boots.empty() &&
                            !facts.boots.front().complete);
  if (facts.in_kexec || never_booted) {
    return {ExitCode::kBootTimeout,
            facts.in_kexec ? "kexec-timeout" : "boot-timeout",
            facts.stop.detail};
  }
  return {ExitCode::kTimeout, "timeout", facts.stop.detail};
}

Conclusion JudgeReset(const RunFacts& facts) {
  if (!facts.stop.reset2) {
    return {ExitCode::kUnexpectedReset, "reset",
            "the guest called SYSTEM_RESET"};
  }
  return {
      ExitCode::kUnexpectedReset, "reset",
      absl::StrFormat("the guest called SYSTEM_RESET2, type %#x, cookie %#x",
                      facts.stop.code, facts.stop.value)};
}

Conclusion JudgeVerdict(const RunFacts& facts) {
  if (facts.stop.code == 0) return JudgeKexecs(facts);
  return {ExitCode::kVerdict, "guest-verdict",
          absl::StrFormat("the guest's verdict is FAIL (code %d, value %d)",
                          facts.stop.code, facts.stop.value)};
}

}  // namespace

Conclusion Conclude(const RunFacts& facts) {
  switch (facts.stop.kind) {
    case Kind::kVmmError:
      return {ExitCode::kVmmBug, "vmm-bug", facts.stop.detail};
    case Kind::kInterrupt:
      return {ExitCode::kInterrupted, "interrupted", facts.stop.detail};
    default:
      break;
  }
  if (facts.strict && !facts.diagnoses.empty()) {
    const psci::ParkFault fault = facts.diagnoses.front().fault;
    return {ExitCode::kCpuStuck, std::string(psci::IdOf(fault)),
            absl::StrCat("--strict: ", psci::SentenceOf(fault))};
  }
  switch (facts.stop.kind) {
    case Kind::kVerdict:
      return JudgeVerdict(facts);
    case Kind::kStuck:
      return {ExitCode::kCpuStuck, "vcpu-stuck", facts.stop.detail};
    default:
      break;
  }
  if (!facts.panic.empty()) {
    return {ExitCode::kGuestPanic, "guest-panic",
            absl::StrCat("the guest panicked: ", facts.panic)};
  }
  switch (facts.stop.kind) {
    case Kind::kTimeout:
      return JudgeTimeout(facts);
    case Kind::kReset:
      return JudgeReset(facts);
    case Kind::kAllOff:
      return {ExitCode::kCpuStuck, "all-cpus-off",
              "every CPU turned itself off; none is left to turn one on"};
    default:
      break;
  }
  if (facts.in_kexec) {
    return {ExitCode::kUnexpectedReset, "power-off-in-kexec",
            "the guest powered off in the middle of a kexec"};
  }
  return JudgeKexecs(facts);
}

}  // namespace vmm
