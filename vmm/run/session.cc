// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/session.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/event_loop.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"
#include "vmm/measure/report.h"
#include "vmm/run/console_watch.h"
#include "vmm/run/terminal.h"

namespace vmm {
namespace {

using Kind = StopReason::Kind;

// How often the session looks at what wakes nobody up: a console line without
// an end, events, parked CPUs, the clock.
constexpr int64_t kTickNs = 100'000'000;
// Events younger than this may still be on their way (EventLog::Drain).
constexpr int64_t kEventSettleNs = 50'000'000;
// A panic with neither reset nor crash kernel after this is a hang.
constexpr int64_t kPanicGraceNs = 5'000'000'000;
// How long the reader of our stdout may keep us waiting at the end.
constexpr int kLastOutputMs = 5000;
// A pipe that polls writable takes this much without blocking.
constexpr size_t kWriteChunk = 4096;

// Blocks the signals that end a run and makes them readable instead.
class Signals {
 public:
  Signals() {
    sigemptyset(&mask_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      sigaddset(&mask_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &mask_, &previous_);
    fd_ = UniqueFd(signalfd(-1, &mask_, SFD_CLOEXEC | SFD_NONBLOCK));
    signal(SIGPIPE, SIG_IGN);  // A reader that went away is no reason to die.
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
  int fd() const { return fd_.get(); }
  std::string Take() {
    signalfd_siginfo info = {};
    if (read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return "";
    return strsignal(static_cast<int>(info.ssi_signo));
  }

 private:
  sigset_t mask_;
  sigset_t previous_;
  UniqueFd fd_;
};

// The guest's console on its way to stdout: never blocks the session.
class ConsoleOutput {
 public:
  bool pending() const { return !bytes_.empty(); }
  size_t size() const { return bytes_.size(); }
  void Append(absl::string_view bytes) { absl::StrAppend(&bytes_, bytes); }
  // When stdout polls writable.
  void WriteSome() {
    const ssize_t written = write(STDOUT_FILENO, bytes_.data(),
                                  std::min(bytes_.size(), kWriteChunk));
    if (written >= 0) {
      bytes_.erase(0, static_cast<size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      bytes_.clear();  // Nobody reads any more.
    }
  }
  void WriteAll() {
    pollfd out = {STDOUT_FILENO, POLLOUT, 0};
    while (pending() && poll(&out, 1, kLastOutputMs) > 0) WriteSome();
  }

 private:
  std::string bytes_;
};

// A background job that read its terminal would be stopped for it.
bool StdinIsOurs() {
  return !isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) == getpgrp();
}

class Session {
 public:
  Session(const MachineSpec& spec, const MachinePlan& plan,
          const SessionOptions& options)
      : spec_(spec), plan_(plan), options_(options) {}

  absl::StatusOr<SessionResult> Run();

 private:
  absl::StatusOr<StopReason> RunMachine();
  absl::Status Prepare();
  absl::Status Loop();
  void TakeConsole();
  void ReadInput();
  void SendInput();
  absl::Status TakeEvents(int64_t until_ns);
  void CheckDeadlines();
  std::string AwaitedThing() const;
  void ReportBoot();
  void ReportPostMortem(const StopReason& stop) const;
  bool PastTimeout() const {
    return absl::Nanoseconds(clock_.Now()) >= options_.timeout;
  }

  const MachineSpec& spec_;
  const MachinePlan& plan_;
  const SessionOptions& options_;
  const Clock clock_;  // Of the session: a reboot does not restart it.
  Signals signals_;
  RawTerminal terminal_;
  EscapeKeys keys_;
  ConsoleOutput output_;
  bool input_open_ = StdinIsOurs();
  std::vector<uint8_t> input_;  // Typed, and not yet taken by the guest.

  std::unique_ptr<Machine> machine_;
  std::optional<KexecTracker> tracker_;
  std::optional<ConsoleWatch> watch_;
  int64_t panic_ns_ = 0;
  bool heading_printed_ = false;
  SessionResult result_;
};

// Turns an error about a file that the user named into a usage error.
absl::Status AsUsage(const absl::Status& status) {
  return status.ok() ? status : absl::InvalidArgumentError(status.message());
}

absl::Status Session::Prepare() {
  machine_.reset();  // Before a reboot: two at once would be twice the RAM.
  ASSIGN_OR_RETURN(machine_, Machine::Create(spec_, plan_));
  tracker_.emplace(machine_->mpidrs());
  watch_.emplace(options_.allowed_splats);
  panic_ns_ = 0;
  if (!options_.events_path.empty()) {
    RETURN_IF_ERROR(AsUsage(
        machine_->events().WriteTo(options_.events_path, result_.resets > 0)));
  }
  if (!options_.dump_dtb_path.empty()) {
    RETURN_IF_ERROR(
        AsUsage(WriteFile(options_.dump_dtb_path, machine_->dtb())));
  }
  result_.mpidrs = machine_->mpidrs();
  result_.dtb = machine_->dtb();
  result_.gic = machine_->gic();
  result_.park = machine_->park();
  LogInfo(absl::StrFormat(
      "%d vCPU%s, %d MiB, GICv%d, PSCI answered by %s, kernel: %s", spec_.vcpus,
      spec_.vcpus == 1 ? "" : "s", spec_.memory_bytes >> 20,
      machine_->gic() == GicVersion::kV3 ? 3 : 2,
      spec_.psci == PsciHandler::kVmm ? "the VMM" : "KVM",
      spec_.kernel.format));
  if (terminal_.active()) LogInfo("ctrl-a x ends the run, ctrl-a h helps");
  return absl::OkStatus();
}

absl::StatusOr<SessionResult> Session::Run() {
  for (;;) {
    ASSIGN_OR_RETURN(result_.stop, RunMachine());
    const bool again = result_.stop.kind == Kind::kReset &&
                       options_.reboot_on_reset && !PastTimeout();
    const auto& boots = tracker_->boots();
    result_.boots.insert(result_.boots.end(), boots.begin(), boots.end());
    result_.mistakes += machine_->Mistakes();
    result_.lost_events += machine_->events().lost();
    result_.diagnoses = machine_->Diagnoses();
    result_.spinning = machine_->Spinning();
    if (!again) break;
    ++result_.resets;
    LogInfo("the guest reset; booting again");
  }
  result_.conclusion = Conclude({.stop = result_.stop,
                                 .panic = watch_->panic(),
                                 .splat = watch_->splat(),
                                 .saw_kernel = tracker_->SawKernel(),
                                 .in_kexec = tracker_->InKexec(),
                                 .boots = result_.boots,
                                 .expected_kexecs = options_.expected_kexecs,
                                 .diagnoses = result_.diagnoses,
                                 .strict = options_.strict});
  if (result_.conclusion.code != ExitCode::kOk) ReportPostMortem(result_.stop);
  return std::move(result_);
}

absl::StatusOr<StopReason> Session::RunMachine() {
  RETURN_IF_ERROR(Prepare());
  machine_->Start();
  const absl::Status status = Loop();
  if (!status.ok()) {
    machine_->RequestStop(
        {.kind = Kind::kVmmError, .detail = std::string(status.message())});
  }
  machine_->Join();
  TakeConsole();
  output_.WriteAll();
  RETURN_IF_ERROR(TakeEvents(INT64_MAX));
  return *machine_->stop_reason();
}

absl::Status Session::Loop() {
  EventLoop loop;
  loop.Add("stop", machine_->stop_fd(), POLLIN, [&] {
    loop.Stop();
    return absl::OkStatus();
  });
  loop.Add("signals", signals_.fd(), POLLIN, [this] {
    machine_->RequestStop(
        {.kind = Kind::kInterrupt, .detail = signals_.Take()});
    return absl::OkStatus();
  });
  const auto console =
      loop.Add("console", machine_->console().fd(), POLLIN, nullptr);
  const auto output = loop.Add("stdout", STDOUT_FILENO, POLLOUT, [this] {
    output_.WriteSome();
    return absl::OkStatus();
  });
  const auto input = loop.Add("stdin", STDIN_FILENO, POLLIN, [this] {
    ReadInput();
    return absl::OkStatus();
  });
  loop.Add("events", machine_->events().fd(), POLLIN, nullptr);
  const auto set_interest = [&] {
    loop.Enable(console, !output_.pending());
    loop.Enable(output, output_.pending());
    loop.Enable(input, input_open_ && input_.empty());
  };
  loop.SetTick(kTickNs, [this] {
    machine_->Inspect();
    CheckDeadlines();
    return absl::OkStatus();
  });
  loop.SetRoundEnd([&] {
    if (!output_.pending()) TakeConsole();
    SendInput();
    set_interest();
    return TakeEvents(machine_->clock().Now() - kEventSettleNs);
  });
  set_interest();
  return loop.Run();
}

void Session::TakeConsole() {
  const std::string bytes = machine_->console().Take();
  watch_->Add(bytes);
  output_.Append(bytes);
  if (!watch_->panic().empty() && panic_ns_ == 0) panic_ns_ = clock_.Now();
}

void Session::ReadInput() {
  std::array<uint8_t, 256> typed;
  const ssize_t size = read(STDIN_FILENO, typed.data(), typed.size());
  if (size <= 0) {
    input_open_ = size < 0 && (errno == EINTR || errno == EAGAIN);
    return;
  }
  const auto bytes =
      absl::MakeConstSpan(typed.data(), static_cast<size_t>(size));
  if (!terminal_.active()) {
    input_.assign(bytes.begin(), bytes.end());
    return;
  }
  EscapeKeys::Result keys = keys_.Feed(bytes);
  input_ = std::move(keys.to_guest);
  if (keys.help) LogInfo("ctrl-a x: end the run; ctrl-a ctrl-a: send ctrl-a");
  if (keys.quit) {
    machine_->RequestStop({.kind = Kind::kInterrupt, .detail = "ctrl-a x"});
  }
}

void Session::SendInput() {
  if (input_.empty()) return;
  const size_t taken = machine_->SendInput(input_);
  input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(taken));
}

absl::Status Session::TakeEvents(int64_t until_ns) {
  return machine_->events().Drain(until_ns, [this](const Event& event) {
    const size_t before = tracker_->boots().size();
    if (tracker_->Add(event)) ReportBoot();
    // A crash kernel took over, or a kexec did.
    if (tracker_->boots().size() != before) watch_->ForgetPanic();
  });
}

void Session::ReportBoot() {
  if (!heading_printed_) LogPlain(TableHeading());
  heading_printed_ = true;
  const auto& boots = tracker_->boots();
  LogPlain(TableRow(boots.size() - 1, boots.back()));
  if (options_.verbose) {
    LogPlain(PerCpuTable(boots.back(), machine_->mpidrs()));
  }
}

std::string Session::AwaitedThing() const {
  const size_t kexecs = tracker_->boots().size() - 1;
  if (tracker_->InKexec()) {
    return absl::StrFormat("kexec %d to come up", kexecs);
  }
  if (!tracker_->SawKernel()) return "the guest's first sign of life";
  if (!tracker_->boots().front().complete) {
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
  if (!watch_->panic().empty() && clock_.Now() - panic_ns_ > kPanicGraceNs) {
    machine_->RequestStop({.kind = Kind::kPanicked});
  }
}

void Session::ReportPostMortem(const StopReason& stop) const {
  if (stop.kind == Kind::kInterrupt) return;
  LogPlain("last lines of the guest's console:");
  for (const std::string& line : watch_->LastLines()) {
    LogPlain(absl::StrCat("  | ", line));
  }
  const auto vcpus = machine_->PostMortem();
  for (size_t i = 0; i < vcpus.size(); ++i) {
    const std::string pc =
        vcpus[i].pc ? absl::StrFormat(", PC %#x", *vcpus[i].pc) : "";
    const bool parked = vcpus[i].state == psci::PowerState::kOff &&
                        vcpus[i].door != psci::Door::kCpuOff;
    LogPlain(absl::StrFormat(
        "vCPU %d (MPIDR 0x%x): %s%s%s", i, result_.mpidrs[i],
        psci::Name(vcpus[i].state), pc,
        parked ? absl::StrCat(", parked by the ", psci::Name(vcpus[i].door))
               : ""));
  }
}

}  // namespace

absl::StatusOr<SessionResult> RunSession(const MachineSpec& spec,
                                         const MachinePlan& plan,
                                         const SessionOptions& options) {
  return Session(spec, plan, options).Run();
}

}  // namespace vmm
