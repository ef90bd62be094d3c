// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/results.h"

#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "vmm/base/file.h"
#include "vmm/base/sha256.h"
#include "vmm/kvm/host_label.h"
#include "vmm/kvm/host_report.h"
#include "vmm/measure/report.h"

namespace vmm {
namespace {

using nlohmann::json;

constexpr int kSchemaVersion = 1;

json ToolJson() {
  const auto binary = ReadFile("/proc/self/exe", uint64_t{1} << 30);
  return {{"name", "parkvmm"},
          {"version", PARKVMM_VERSION},
          {"commit", PARKVMM_COMMIT},
          {"vmm_sha256", binary.ok() ? Sha256(*binary) : "unknown"}};
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
                {"kernel_sha256", Sha256(spec.kernel.bytes)},
                {"initrd_sha256", nullptr},
                {"dtb_sha256", Sha256(session.dtb)},
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
  if (!spec.initrd.empty()) guest["initrd_sha256"] = Sha256(spec.initrd);
  return guest;
}

json StopJson(const SessionResult& session) {
  json stop = {{"exit_code", static_cast<int>(session.conclusion.code)},
               {"resets", session.resets}};
  if (session.stop.kind == StopReason::Kind::kReset && session.stop.reset2) {
    stop["reset2"] = {{"type", session.stop.code},
                      {"cookie", session.stop.value}};
  }
  if (session.stop.kind == StopReason::Kind::kVerdict) {
    stop["guest_verdict"] = {{"code", session.stop.code},
                             {"value", session.stop.value}};
  }
  return stop;
}

}  // namespace

json ResultsJson(const RunRequest& request, const MachineSpec& spec,
                 const SessionResult& session) {
  const HostLabel label = LabelOf(ReadHostSigns(), request.label);
  json boots = json::array();
  json kexecs = json::array();
  for (const Boot& boot : session.boots) {
    (boot.kexec ? kexecs : boots)
        .push_back(ToJson(boot, request.arm, session.mpidrs));
  }
  json diagnoses = json::array();
  if (session.conclusion.code != ExitCode::kOk) {
    diagnoses.push_back({{"id", session.conclusion.id},
                         {"sentence", session.conclusion.sentence}});
  }
  for (const Diagnosis& diagnosis : session.diagnoses) {
    diagnoses.push_back(
        {{"id", std::string(psci::IdOf(diagnosis.fault))},
         {"sentence", std::string(psci::SentenceOf(diagnosis.fault))},
         {"count", diagnosis.count},
         {"vcpu", diagnosis.vcpu},
         {"page", absl::StrFormat("0x%x", diagnosis.place)},
         {"value", absl::StrFormat("0x%x", diagnosis.value)}});
  }
  json spinning = nullptr;
  if (session.spinning) {
    spinning = {{"parks", session.spinning->parks},
                {"parked_ns", session.spinning->parked_ns},
                {"host_cpu_ns", session.spinning->host_cpu_ns}};
  }
  return {
      {"schema_version", kSchemaVersion},
      {"label", label.name},
      {"label_reason", label.reason},
      {"label_insisted", label.insisted},
      {"unlocked", UnlockedJson()},
      {"tool", ToolJson()},
      {"host", HostJson()},
      {"config", request.config},
      {"guest", GuestJson(spec, session)},
      {"boots", boots},
      {"kexecs", kexecs},
      {"diagnoses", diagnoses},
      {"spinning", spinning},
      {"stop", StopJson(session)},
      {"guest_mistakes",
       {{"unowned_accesses", session.mistakes.unowned_accesses},
        {"undecodable_accesses", session.mistakes.undecodable},
        {"unknown_calls", session.mistakes.unknown_calls}}},
      {"lost_events", session.lost_events},
  };
}

}  // namespace vmm
