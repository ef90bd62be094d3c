// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/session.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"
#include "vmm/machine/machine.h"
#include "vmm/measure/report.h"
#include "vmm/run/console_watch.h"
#include "vmm/run/grace.h"
#include "vmm/run/guest_streams.h"
#include "vmm/run/post_mortem.h"
#include "vmm/run/signals.h"
#include "vmm/run/silence.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

// How often the session looks at what wakes nobody up: a console line without
// an end, events, parked CPUs.
constexpr int64_t kTickNs = 100'000'000;
// After so long without anything it sleeps, until something wakes it up or a
// deadline is over.
constexpr int64_t kQuietNs = 1'000'000'000;
// Events younger than this may still be on their way (EventLog::Drain).
constexpr int64_t kEventSettleNs = 50'000'000;

GuestStreams::Kind KindOf(const SessionOptions& options) {
  if (!options.command) return GuestStreams::Kind::kConsole;
  return options.verbose ? GuestStreams::Kind::kCommandVerbose
                         : GuestStreams::Kind::kCommand;
}

class Session {
 public:
  Session(const MachineSpec& spec, const SessionOptions& options,
          const SessionDeps& deps)
      : spec_(spec), options_(options), deps_(deps) {}

  absl::StatusOr<SessionResult> Run();

 private:
  void RunMachine();
  absl::Status Prepare();
  void TakeFacts();
  absl::Status Loop();
  void Hear(const GuestStreams::Heard& heard);
  void TakeSignal();
  void TakeEvents(int64_t until_ns);
  void AddEvent(const Event& event);
  void CheckDeadlines();
  void SleepIfQuiet(EventLoop& loop);
  int64_t NextDeadline() const;
  std::string LostOutput() const;
  std::string AwaitedThing() const;
  void ReportBoot(std::optional<size_t> place);
  void NoteActivity() { active_ns_ = deps_.now_ns(); }
  void NoteLife() {
    NoteActivity();
    grace_->NoteLife(active_ns_);
    silence_.NoteLife(active_ns_);
  }
  // Not to whoever types at a guest that answers.
  bool MayTellSilence() const {
    return !streams_.has_terminal() || !watch_->printed();
  }
  bool PastTimeout() const {
    return absl::Nanoseconds(deps_.now_ns() - begin_ns_) >= options_.timeout;
  }

  const MachineSpec& spec_;
  const SessionOptions& options_;
  const SessionDeps& deps_;
  const int64_t begin_ns_ = deps_.now_ns();  // A reboot does not change it.
  Signals signals_;
  GuestStreams streams_{{deps_.input, deps_.output, deps_.error},
                        KindOf(options_),
                        !options_.command || options_.command_has_terminal};

  std::unique_ptr<MachineControl> machine_;
  std::optional<KexecTracker> tracker_;
  std::optional<ConsoleWatch> watch_;
  std::optional<Grace> grace_;
  Silence silence_{begin_ns_};
  int64_t active_ns_ = 0;  // When anything was last seen to happen.
  bool asleep_ = false;
  std::string panic_;  // The last machine's, once that has ended.
  absl::Status dtb_status_;
  absl::Status events_status_;
  bool heading_printed_ = false;
  SessionResult result_;
};

// Turns an error about a file that the user named into a usage error, if
// another path would do, and else into that of an output that is lost.
absl::Status AboutNamedFile(const absl::Status& status) {
  if (status.ok()) return status;
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
                 absl::IsInvalidArgument(status)
             ? absl::InvalidArgumentError(status.message())
             : absl::AbortedError(status.message());
}

absl::Status Session::Prepare() {
  machine_.reset();  // Before a reboot: two at once would be twice the RAM.
  ASSIGN_OR_RETURN(machine_, deps_.create());
  tracker_.emplace(machine_->mpidrs(), options_.whole_result
                                           ? KexecTracker::Keep::kAll
                                           : KexecTracker::Keep::kWhatIsJudged);
  watch_.emplace(options_.allowed_splats);
  grace_.emplace(*watch_, absl::ToInt64Nanoseconds(options_.panic_grace));
  if (!options_.events_path.empty()) {
    RETURN_IF_ERROR(AboutNamedFile(
        machine_->events().WriteTo(options_.events_path, result_.resets > 0)));
  }
  if (!options_.dump_dtb_path.empty()) {
    absl::Status written =
        AboutNamedFile(WriteFile(options_.dump_dtb_path, machine_->dtb()));
    if (absl::IsInvalidArgument(written)) return written;
    dtb_status_.Update(written);
  }
  result_.mpidrs = machine_->mpidrs();
  if (options_.whole_result) {
    ASSIGN_OR_RETURN(result_.digests, machine_->Digests());
  }
  result_.gic = machine_->gic();
  result_.park = machine_->park();
  LogInfo(absl::StrFormat(
      "%d vCPU%s, %d MiB, GICv%d, PSCI answered by %s, kernel: %s", spec_.vcpus,
      spec_.vcpus == 1 ? "" : "s", spec_.memory_bytes >> 20,
      machine_->gic() == GicVersion::kV3 ? 3 : 2,
      spec_.psci == PsciHandler::kVmm ? "the VMM" : "KVM",
      spec_.kernel.format));
  if (streams_.has_terminal()) {
    LogInfo("ctrl-a x ends the run, ctrl-a h helps");
  }
  return absl::OkStatus();
}

absl::StatusOr<SessionResult> Session::Run() {
  for (;;) {
    RETURN_IF_ERROR(Prepare());
    RunMachine();
    TakeFacts();
    const bool again = result_.stop.kind == Kind::kReset &&
                       options_.reboot_on_reset && !PastTimeout();
    if (!again) break;
    ++result_.resets;
    LogInfo("the guest reset; booting again");
  }
  const std::string lost = LostOutput();
  result_.conclusion = Conclude({.stop = result_.stop,
                                 .panic = panic_,
                                 .splat = watch_->splat(),
                                 .saw_kernel = tracker_->SawKernel(),
                                 .saw_console = watch_->printed(),
                                 .mistakes = result_.mistakes,
                                 .page_size = spec_.kernel.page_size,
                                 .in_kexec = tracker_->InKexec(),
                                 .boots = result_.boots,
                                 .other_kexecs = result_.other_kexecs,
                                 .expected_kexecs = options_.expected_kexecs,
                                 .limits = options_.limits,
                                 .diagnoses = result_.diagnoses,
                                 .command = CommandFacts::Of(streams_.link()),
                                 .lost_output = lost,
                                 .reset_is_end = options_.reset_is_end,
                                 .strict = options_.strict,
                                 .raw = spec_.kernel.raw});
  if (result_.conclusion.sentence != lost && !lost.empty()) LogError(lost);
  if (result_.conclusion.NeedsPostMortem() &&
      result_.stop.kind != Kind::kInterrupt) {
    result_.post_mortem =
        DescribePostMortem(watch_->LastLines(), machine_->PostMortem(),
                           result_.mpidrs, options_.symbols.get());
    for (const std::string& line : result_.post_mortem) LogPlain(line);
  }
  return std::move(result_);
}

// Runs the machine until it stops and what it has said is written.
void Session::RunMachine() {
  streams_.Attach(*machine_);
  machine_->Start();
  const absl::Status status = Loop();
  if (!status.ok()) machine_->RequestStop(StopReasonOf(status));
  machine_->Join();
  Hear(streams_.TakeAll());
  watch_->End();
  streams_.WriteAll(deps_.now_ns);
  TakeEvents(INT64_MAX);
  result_.stop = *machine_->stop_reason();
  panic_ = grace_->Panic(result_.stop.kind, deps_.now_ns());
  // A boot whose kernel panicked has not come up.
  if (panic_.empty()) ReportBoot(tracker_->End(result_.stop.IsGoodEnd()));
}

// Adds what this machine did to what those before it did.
void Session::TakeFacts() {
  const auto& boots = tracker_->boots();
  result_.boots.insert(result_.boots.end(), boots.begin(), boots.end());
  result_.other_kexecs += tracker_->forgotten();
  result_.mistakes += machine_->Mistakes();
  result_.lost_events += machine_->events().lost();
  Merge(machine_->Diagnoses(), result_.diagnoses);
  if (const auto spinning = machine_->Spinning()) {
    if (!result_.spinning) result_.spinning.emplace();
    *result_.spinning += *spinning;
  }
}

absl::Status Session::Loop() {
  EventLoop loop(deps_.now_ns);
  loop.Add("stop", machine_->stop_fd(), POLLIN, [&] {
    loop.Stop();
    return absl::OkStatus();
  });
  loop.Add("signals", signals_.fd(), POLLIN, [this] {
    TakeSignal();
    return absl::OkStatus();
  });
  streams_.AddTo(loop, [this] {
    machine_->RequestStop({.kind = Kind::kInterrupt, .detail = "ctrl-a x"});
  });
  loop.Add("alarm", machine_->alarm_fd(), POLLIN, [this] {
    machine_->RingAlarm();
    return absl::OkStatus();
  });
  loop.Add("events", machine_->events().fd(), POLLIN, nullptr);
  loop.SetTick(kTickNs, [&] {
    if (machine_->Inspect()) NoteActivity();
    CheckDeadlines();
    if (machine_->stop_reason()) loop.Stop();  // Even if it woke nobody up.
    return absl::OkStatus();
  });
  loop.SetRoundEnd([&] {
    Hear(streams_.Move());
    TakeEvents(machine_->Now() - kEventSettleNs);
    ReportBoot(tracker_->Settle(machine_->Now() - kEventSettleNs));
    SleepIfQuiet(loop);
    return absl::OkStatus();
  });
  NoteActivity();
  return loop.Run();
}

void Session::SleepIfQuiet(EventLoop& loop) {
  const int64_t now = deps_.now_ns();
  const bool is_quiet = now - active_ns_ >= kQuietNs && streams_.Sleep() &&
                        machine_->events().Sleep();
  if (is_quiet) {
    loop.SetNextTick(NextDeadline());
  } else if (asleep_) {
    loop.SetNextTick(now + kTickNs);
  }
  asleep_ = is_quiet;
}

int64_t Session::NextDeadline() const {
  int64_t next = begin_ns_ + absl::ToInt64Nanoseconds(options_.timeout);
  if (MayTellSilence()) next = std::min(next, silence_.Next());
  if (const auto end = grace_->End()) next = std::min(next, *end + 1);
  if (const auto settles = tracker_->SettlesAt()) {
    const int64_t machine_began = deps_.now_ns() - machine_->Now();
    next = std::min(next, machine_began + *settles + kEventSettleNs);
  }
  return next;
}

void Session::Hear(const GuestStreams::Heard& heard) {
  watch_->Add(heard.console);
  if (heard.command || !heard.console.empty()) NoteLife();
  grace_->NotePanic(machine_->Now());
}

void Session::TakeSignal() {
  const int signal = signals_.Take();
  if (signal == SIGWINCH) {
    streams_.NoteSize();
  } else if (signal != 0) {
    machine_->RequestStop(
        {.kind = Kind::kInterrupt, .detail = strsignal(signal)});
  }
}

void Session::TakeEvents(int64_t until_ns) {
  // Without them the run goes on: its verdict is worth more.
  events_status_ = machine_->events().Drain(
      until_ns, [this](const Event& event) { AddEvent(event); });
}

void Session::AddEvent(const Event& event) {
  NoteLife();
  const bool had_panicked = grace_->HadPanicked(event.ns);
  tracker_->SetPanicked(had_panicked);
  const uint32_t before = tracker_->boots().back().number;
  ReportBoot(tracker_->Add(event));
  if (!had_panicked) return;
  if (tracker_->boots().back().number != before) {
    watch_->ForgetPanic();  // A crash kernel took over, or a kexec did.
  } else if (event.kind == Event::Kind::kMark) {
    watch_->RetractPanic();  // User space runs.
  }
}

void Session::ReportBoot(std::optional<size_t> place) {
  if (!place) return;
  result_.kexecs.Add(tracker_->boots()[*place]);
  // A command's own lines are what its user wants to see.
  const bool is_asked_for =
      !options_.command || options_.verbose || tracker_->boots()[*place].kexec;
  if (!is_asked_for) return;
  if (!heading_printed_) LogPlain(TableHeading(options_.times));
  heading_printed_ = true;
  const Boot& boot = tracker_->boots()[*place];
  LogPlain(TableRow(boot, options_.times));
  if (options_.verbose && options_.times == Times::kShown) {
    LogPlain(PerCpuTable(boot, machine_->mpidrs()));
  }
}

std::string Session::LostOutput() const {
  absl::Status first = dtb_status_;
  first.Update(events_status_);
  first.Update(streams_.status());
  return std::string(first.message());
}

std::string Session::AwaitedThing() const {
  if (tracker_->InKexec()) {
    return absl::StrFormat("kexec %d to come up",
                           tracker_->boots().back().number);
  }
  const CommandLink* const link = streams_.link();
  if (link && link->started() > 0 && !link->status()) {
    return "the command to end";
  }
  if (!tracker_->SawKernel() && !watch_->printed()) {
    return "the guest's first sign of life";
  }
  if (link && link->started() == 0) return "the command to start";
  if (!tracker_->boots().front().came_up) {
    return "the guest to come up or power off";
  }
  return "the guest to power off";
}

void Session::CheckDeadlines() {
  if (PastTimeout()) {
    machine_->RequestStop(
        {.kind = Kind::kTimeout,
         .detail = absl::StrFormat("waited %s for %s",
                                   absl::FormatDuration(options_.timeout),
                                   AwaitedThing())});
  }
  const auto seconds = silence_.Tell(deps_.now_ns());
  if (seconds && MayTellSilence()) {
    LogInfo(absl::StrFormat("nothing has happened for %d s, waiting for %s",
                            *seconds, AwaitedThing()));
  }
  if (const auto kind = grace_->Over(deps_.now_ns())) {
    machine_->RequestStop({.kind = *kind});
  }
}

}  // namespace

absl::StatusOr<SessionResult> RunSession(const MachineSpec& spec,
                                         const SessionOptions& options,
                                         const SessionDeps& deps) {
  return Session(spec, options, deps).Run();
}

absl::StatusOr<SessionResult> RunKvmSession(MachineSpec& spec,
                                            const MachinePlan& plan,
                                            const SessionOptions& options) {
  const auto create = [&] {
    auto machine = Machine::Create(spec, plan);
    if (!options.reboot_on_reset) {
      spec.kernel.content = {};
      spec.initrd = {};
    }
    return machine;
  };
  return RunSession(std::as_const(spec), options, {.create = create});
}

}  // namespace vmm
