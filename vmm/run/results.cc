// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/results.h"

#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "vmm/base/content.h"
#include "vmm/base/sha256.h"
#include "vmm/kvm/host_report.h"
#include "vmm/measure/report.h"
#include "vmm/run/version.h"

namespace vmm {
namespace {

using nlohmann::json;

// docs/schemas/result.schema.json describes it. It goes up when a reader of the
// old would misread the new.
constexpr int kSchemaVersion = 2;

std::string OwnDigest() {
  const auto binary = Content::Open("/proc/self/exe", uint64_t{1} << 30);
  return (binary.ok() ? Sha256(*binary) : binary.status()).value_or("unknown");
}

json ToolJson() {
  static const std::string digest = OwnDigest();
  return {{"name", "parkvmm"},
          {"version", Version()},
          {"commit", Commit()},
          {"vmm_sha256", digest}};
}

json HostJson() {
  json host = json::object();
  for (const HostCheck& check : ExamineHost().checks) {
    host[check.id] = check.value;
  }
  return host;
}

// Returns the packages that took the place of those in tools/packages.lock.
// tools/arm64-host passes their names and versions in PARKVMM_UNLOCKED, with
// commas between them.
json UnlockedJson() {
  json packages = json::array();
  const char* const text = std::getenv("PARKVMM_UNLOCKED");
  for (const absl::string_view package :
       absl::StrSplit(text ? text : "", ',', absl::SkipEmpty())) {
    // Anybody may have set it, and JSON is UTF-8.
    std::string printable(package);
    std::erase_if(printable,
                  [](unsigned char c) { return !absl::ascii_isprint(c); });
    packages.push_back(printable);
  }
  return packages;
}

json FirmwareJson(const psci::FirmwareModel& model) {
  return {{"name", model.name},
          {"off_ns", model.off_ns},
          {"on_ns", model.on_ns},
          {"far_on_ns", model.far_on_ns},
          {"cpus_per_socket", model.cpus_per_socket},
          {"lock", model.serialised}};
}

std::string NameOf(PsciHandler handler) {
  return handler == PsciHandler::kVmm ? "vmm" : "kvm";
}

std::string NameOf(ParkMode mode) {
  switch (mode) {
    case ParkMode::kOff:
      return "off";
    case ParkMode::kGuest:
      return "guest";
    case ParkMode::kHost:
      return "host";
  }
  return "";
}

// By content, not by name: what was run, wherever it lay.
json GuestJson(const MachineSpec& spec, const SessionResult& session) {
  json guest = {{"kernel_format", spec.kernel.format},
                {"kernel_sha256", session.digests.kernel},
                {"kernel_release", nullptr},
                {"initrd_sha256", nullptr},
                {"dtb_sha256", session.digests.dtb},
                {"command_line", spec.command_line},
                {"gic", session.gic == GicVersion::kV3 ? 3 : 2},
                {"psci", NameOf(spec.psci)},
                {"firmware", FirmwareJson(spec.firmware)},
                {"park", NameOf(spec.park)},
                {"park_pages", nullptr}};
  if (session.park) {
    guest["park_pages"] = {
        {"base", absl::StrFormat("0x%x", session.park->pages.base().value())},
        {"bytes", session.park->pages.size()}};
  }
  if (session.digests.kernel_release) {
    guest["kernel_release"] = *session.digests.kernel_release;
  }
  if (session.digests.initrd) guest["initrd_sha256"] = *session.digests.initrd;
  return guest;
}

// Returns how the run ended. `id` and `sentence` say why it failed, and are
// null if it did not.
json StopJson(const SessionResult& session) {
  const Conclusion& conclusion = session.conclusion;
  json stop = {{"exit_code", static_cast<int>(conclusion.code)},
               {"id", nullptr},
               {"sentence", nullptr},
               {"resets", session.resets},
               {"reset2", nullptr},
               {"guest_verdict", nullptr}};
  if (conclusion.code != ExitCode::kOk) {
    stop["id"] = conclusion.id;
    stop["sentence"] = conclusion.sentence;
  }
  if (session.stop.kind == StopReason::Kind::kReset && session.stop.reset2) {
    stop["reset2"] = {{"type", absl::StrFormat("0x%x", session.stop.code)},
                      {"cookie", absl::StrFormat("0x%x", session.stop.value)}};
  }
  if (session.stop.kind == StopReason::Kind::kVerdict) {
    stop["guest_verdict"] = {{"code", session.stop.code},
                             {"value", session.stop.value}};
  }
  return stop;
}

json DiagnosesJson(const SessionResult& session) {
  json diagnoses = json::array();
  for (const Diagnosis& diagnosis : session.diagnoses) {
    diagnoses.push_back(
        {{"id", std::string(psci::IdOf(diagnosis.fault))},
         {"sentence", std::string(psci::SentenceOf(diagnosis.fault))},
         {"count", diagnosis.count},
         {"vcpu", diagnosis.vcpu},
         {"place", absl::StrFormat("0x%x", diagnosis.place)},
         {"value", absl::StrFormat("0x%x", diagnosis.value)}});
  }
  return diagnoses;
}

absl::string_view NameOf(Case::Outcome outcome) {
  switch (outcome) {
    case Case::Outcome::kPassed:
      return "passed";
    case Case::Outcome::kFailed:
      return "failed";
    case Case::Outcome::kTimedOut:
      return "timed-out";
    case Case::Outcome::kBroken:
      return "broken";
    case Case::Outcome::kSkipped:
      return "skipped";
  }
  return "";
}

json CasesJson(absl::Span<const Case> cases) {
  json list = json::array();
  for (const Case& one : cases) {
    const bool passed = one.outcome == Case::Outcome::kPassed;
    list.push_back({{"name", one.name},
                    {"outcome", std::string(NameOf(one.outcome))},
                    {"ns", one.ns ? json(*one.ns) : json(nullptr)},
                    {"id", passed ? json(nullptr) : json(one.id)},
                    {"message", passed ? json(nullptr) : json(one.message)},
                    {"details", one.details}});
  }
  return list;
}

}  // namespace

json ResultsJson(const RunRequest& request, const MachineSpec& spec,
                 const SessionResult& session, absl::Span<const Case> cases) {
  json boots = json::array();
  json kexecs = json::array();
  for (const Boot& boot : session.boots) {
    (boot.kexec ? kexecs : boots).push_back(ToJson(boot, session.mpidrs));
  }
  json spinning = nullptr;
  if (session.spinning) {
    spinning = {{"parks", session.spinning->parks},
                {"parked_ns", session.spinning->parked_ns},
                {"host_cpu_ns", session.spinning->host_cpu_ns}};
  }
  return {
      {"schema_version", kSchemaVersion},
      {"kind", "parkvmm-run"},
      {"label", request.label.name},
      {"label_reason", request.label.reason},
      {"label_insisted", request.label.insisted},
      {"unlocked", UnlockedJson()},
      {"tool", ToolJson()},
      {"host", HostJson()},
      {"arm", request.arm},
      {"config", request.config},
      {"guest", GuestJson(spec, session)},
      {"boots", boots},
      {"kexecs", kexecs},
      {"diagnoses", DiagnosesJson(session)},
      {"spinning", spinning},
      {"stop", StopJson(session)},
      {"cases", CasesJson(cases)},
      {"guest_mistakes",
       {{"unowned_accesses", session.mistakes.unowned_accesses},
        {"undecodable_accesses", session.mistakes.undecodable},
        {"unknown_calls", session.mistakes.unknown_calls}}},
      {"lost_events", session.lost_events},
  };
}

}  // namespace vmm
