// SPDX-License-Identifier: Apache-2.0
// Any events in the order of their stamps: no phase and no moment is negative,
// phases do not exceed the whole, and what is written is JSON in 80 columns.
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "psci-emul/psci_abi.h"
#include "tests/fuzz/fuzzer.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/measure/event_fields.h"
#include "vmm/measure/kexec_tally.h"
#include "vmm/measure/kexec_tracker.h"
#include "vmm/measure/report.h"

namespace {

using vmm::Boot;
using vmm::Event;
using vmm::KexecTracker;

constexpr size_t kMostEvents = 400;
constexpr uint32_t kCpus = 3;
constexpr std::array<uint64_t, kCpus> kMpidrs = {0, 1, 0x100};
constexpr uint32_t kFunctions[] = {
    PSCI_VERSION,   PSCI_MIGRATE_INFO_TYPE, PSCI_CPU_OFF,
    PSCI_CPU_ON_64, PSCI_AFFINITY_INFO_64,  PSCI_FEATURES};

Event EventFrom(fuzz::Input& input, int64_t ns) {
  Event event = {.ns = ns,
                 .vcpu = input.TakeBelow(kCpus),
                 .kind = static_cast<Event::Kind>(input.TakeBelow(9))};
  const auto how = input.Take<uint8_t>();
  event.arguments = how % 4;
  event.args = {kMpidrs[how / 4 % kCpus], input.Take<uint8_t>(), 0};
  event.sampled = (how & 0x40) != 0;
  event.firmware_ns = (how & 0x80) != 0 ? input.Take<uint16_t>() : 0;
  if (event.kind == Event::Kind::kPsci) {
    event.function = kFunctions[input.TakeBelow(std::size(kFunctions))];
    event.result = static_cast<int8_t>(input.Take<uint8_t>() % 4) - 2;
    if (input.TakeBool()) event.result = 0;
  } else if (event.kind == Event::Kind::kMark) {
    event.args[0] = input.TakeBelow(8);
    if ((how & 1) != 0) event.args[1] = input.Take<uint64_t>() >> 16;
  }
  return event;
}

void CheckTime(const std::optional<int64_t>& ns) {
  FUZZ_CHECK(!ns || *ns >= 0);
}

void CheckBoot(const Boot& boot) {
  CheckTime(boot.total);
  CheckTime(boot.teardown);
  const vmm::Phases& phases = boot.phases;
  const vmm::PhaseShares& shares = boot.shares;
  const std::pair<std::optional<int64_t>, std::optional<vmm::Shares>> all[] = {
      {phases.prepare, shares.prepare}, {phases.down, shares.down},
      {phases.jump, shares.jump},       {phases.early, shares.early},
      {phases.up, shares.up},           {phases.userspace, shares.userspace}};
  int64_t sum = 0;
  for (const auto& [phase, share] : all) {
    CheckTime(phase);
    sum += phase.value_or(0);
    if (!share) continue;
    FUZZ_CHECK(phase.has_value());
    FUZZ_CHECK(share->firmware >= 0 && share->vmm >= 0 && share->polling >= 0 &&
               share->kernel >= 0);
    FUZZ_CHECK(share->firmware + share->vmm + share->polling + share->kernel ==
               *phase);
  }
  if (boot.total) FUZZ_CHECK(sum <= *boot.total);
  FUZZ_CHECK(boot.cpus <= kCpus && boot.cpus_back <= kCpus);
  for (const vmm::LostCpu& cpu : boot.lost) FUZZ_CHECK(cpu.vcpu < kCpus);
  FUZZ_CHECK(boot.per_cpu.size() <= kCpus);
}

void CheckTexts(const Boot& boot) {
  const nlohmann::json document = vmm::ToJson(boot, kMpidrs);
  const std::string text = document.dump();
  FUZZ_CHECK(nlohmann::json::accept(text));
  FUZZ_CHECK(fuzz::IsPrintable(text, false));
  for (const vmm::Times times : {vmm::Times::kShown, vmm::Times::kHidden}) {
    const std::string row = vmm::TableRow(boot, times);
    FUZZ_CHECK(fuzz::IsPrintable(row, false));
  }
  FUZZ_CHECK(fuzz::IsPrintable(vmm::PerCpuTable(boot, kMpidrs), true));
}

}  // namespace

FUZZ_TARGET(kexecs) {
  const auto how = input.Take<uint8_t>();
  KexecTracker tracker(kMpidrs, (how & 1) != 0
                                    ? KexecTracker::Keep::kWhatIsJudged
                                    : KexecTracker::Keep::kAll);
  vmm::KexecTally tally;
  const auto came_up = [&](std::optional<size_t> place) {
    if (!place) return;
    FUZZ_CHECK(*place < tracker.boots().size());
    FUZZ_CHECK(tracker.boots()[*place].came_up.has_value());
    tally.Add(tracker.boots()[*place]);
  };
  // A machine begins so.
  came_up(tracker.Add({.vcpu = 0, .kind = Event::Kind::kStart}));
  int64_t ns = 0;
  for (size_t i = 0; i < kMostEvents && !input.empty(); ++i) {
    const auto step = input.Take<uint8_t>();
    if (step == 255) {  // Long after.
      ns += KexecTracker::kApartNs + 1;
      came_up(tracker.Settle(ns));
      continue;
    }
    if (step == 254) tracker.SetPanicked(input.TakeBool());
    ns += int64_t{step} * 1000;
    const Event event = EventFrom(input, ns);
    FUZZ_CHECK(vmm::FieldsOf(event).size() <= event.args.size());
    FUZZ_CHECK(vmm::NameOf(event.kind) != "?");
    came_up(tracker.Add(event));
  }
  came_up(tracker.End((how & 2) != 0));
  const size_t boots = tracker.boots().size();
  FUZZ_CHECK(boots >= 1 && boots <= KexecTracker::kMaxBoots);
  for (const Boot& boot : tracker.boots()) {
    CheckBoot(boot);
    CheckTexts(boot);
  }
  for (const auto expected : {std::optional<uint32_t>(), {3u}}) {
    const std::string summary =
        tally.Summary(static_cast<uint32_t>(boots) - 1 + tracker.forgotten(),
                      expected, vmm::Times::kShown, "kvm");
    FUZZ_CHECK_TEXT(fuzz::IsPrintable(summary, false), summary);
  }
}
