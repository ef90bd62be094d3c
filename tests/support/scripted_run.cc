// SPDX-License-Identifier: Apache-2.0
// Writes what `vmm run` would write of a run whose events are given, so that
// tests of Python read files that the VMM's own code has written:
//
//     scripted_run CPUS RESULTS EVENTS [LABEL [ARM]] < SCRIPT
//
// SCRIPT has an event on each line, in any order; numbers are as C++ has them.
//
//     NS VCPU psci FUNCTION RESULT [ARGUMENT]...
//     NS VCPU off FIRMWARE_NS DOOR
//     NS VCPU start FIRMWARE_NS ENTRY CONTEXT
//     NS VCPU park|release|mark|verdict|reset|power-off [ARGUMENT]...
//
// The first boot and each kexec that came up are printed as `vmm run --verbose`
// prints them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "vmm/base/file.h"
#include "vmm/base/sha256.h"
#include "vmm/measure/event_log.h"
#include "vmm/measure/report.h"
#include "vmm/run/results.h"

namespace vmm {
namespace {

using Kind = Event::Kind;

[[noreturn]] void Die(const std::string& what) {
  std::cerr << "scripted_run: " << what << "\n";
  std::exit(2);
}

uint64_t NextNumber(std::istream& line) {
  std::string word;
  if (!(line >> word)) Die("a number is missing");
  return std::stoull(word, nullptr, 0);
}

int64_t NextSigned(std::istream& line) {
  std::string word;
  if (!(line >> word)) Die("a number is missing");
  return std::stoll(word, nullptr, 0);
}

Kind KindOf(const std::string& name) {
  for (const auto& [known, kind] :
       {std::pair("psci", Kind::kPsci), std::pair("park", Kind::kParkStore),
        std::pair("release", Kind::kReleaseStore), std::pair("off", Kind::kOff),
        std::pair("start", Kind::kStart), std::pair("mark", Kind::kMark),
        std::pair("verdict", Kind::kVerdict), std::pair("reset", Kind::kReset),
        std::pair("power-off", Kind::kPowerOff)}) {
    if (name == known) return kind;
  }
  Die("no event " + name);
}

Event EventOf(const std::string& text) {
  std::istringstream line(text);
  Event event;
  event.ns = NextSigned(line);
  event.vcpu = static_cast<uint32_t>(NextNumber(line));
  std::string kind;
  line >> kind;
  event.kind = KindOf(kind);
  if (event.kind == Kind::kPsci) {
    event.function = static_cast<uint32_t>(NextNumber(line));
    event.result = NextSigned(line);
  } else if (event.kind == Kind::kOff || event.kind == Kind::kStart) {
    event.firmware_ns = NextSigned(line);
  }
  while (line >> std::ws && !line.eof()) {
    if (event.arguments == event.args.size()) Die("too many: " + text);
    event.args[event.arguments++] = NextNumber(line);
  }
  return event;
}

int Main(const std::vector<std::string>& words) {
  if (words.size() < 3) Die("usage: CPUS RESULTS EVENTS [LABEL [ARM]]");
  SessionResult session;
  for (uint64_t i = 0; i < std::stoull(words[0]); ++i) {
    session.mpidrs.push_back((i & 0xf) | (i >> 4) << 8);
  }
  EventLog log(session.mpidrs);
  if (!log.WriteTo(words[2], false).ok()) Die("cannot write " + words[2]);
  KexecTracker tracker(session.mpidrs);
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    const Event event = EventOf(line);
    if (event.vcpu >= session.mpidrs.size()) Die("no such vCPU: " + line);
    log.ring(event.vcpu).Push(event);
  }
  std::cout << TableHeading(Times::kShown) << "\n";
  const auto drained = log.Drain(INT64_MAX, [&](const Event& event) {
    if (event.kind == Kind::kReset && event.arguments > 0) {
      session.stop = {.kind = StopReason::Kind::kReset,
                      .reset2 = true,
                      .code = event.args[0],
                      .value = event.args[1]};
      session.conclusion = {ExitCode::kUnexpectedReset, "reset", "It reset."};
    } else if (event.kind == Kind::kVerdict) {
      session.stop = {.kind = StopReason::Kind::kVerdict,
                      .code = event.args[0],
                      .value = event.args[1]};
    }
    if (!tracker.Add(event)) return;
    const Boot& boot = tracker.boots().back();
    std::cout << TableRow(boot, Times::kShown) << "\n"
              << PerCpuTable(boot, session.mpidrs);
  });
  if (!drained.ok()) Die(std::string(drained.message()));
  session.boots = tracker.boots();
  session.lost_events = log.lost();
  const std::string of_nothing = Sha256(absl::Span<const uint8_t>());
  session.digests = {.kernel = of_nothing, .dtb = of_nothing};
  const RunRequest request = {
      .config = {{"memory", "1G"}},
      .arm = words.size() > 4 ? words[4] : "",
      .label =
          LabelOf(ReadHostSigns(), words.size() > 3 ? words[3] : "").value(),
  };
  const nlohmann::json results = ResultsJson(
      request, MachineSpec(), session,
      CasesOf(session, /*raw=*/false, /*expected_kexecs=*/{}, /*limits=*/{}));
  if (!WriteFile(words[1], results.dump(1) + "\n").ok()) {
    Die("cannot write " + words[1]);
  }
  return 0;
}

}  // namespace
}  // namespace vmm

int main(int argc, char** argv) { return vmm::Main({argv + 1, argv + argc}); }
