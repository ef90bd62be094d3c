// SPDX-License-Identifier: Apache-2.0
//
// PID 1 of a measured guest: says that it is up, kexecs as often as its
// command line asks for, and then ends the machine in the way it asks for.
// README.md has the keys.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tools/guest/init/command.h"
#include "tools/guest/init/command_line.h"
#include "tools/guest/init/kexec.h"
#include "tools/guest/init/plan.h"
#include "tools/guest/init/report.h"
#include "tools/guest/init/steps.h"
#include "tools/guest/init/system.h"
#include "tools/guest/init/text.h"
#include "vmm/command/command_abi.h"
#include "vmm/devices/mark_abi.h"

namespace guest_init {
namespace {

// What the tests take CPUs offline for begins when this mark is there.
constexpr uint64_t kMarkOffline = MARK_CODE_USER;
constexpr char kKernel[] = "/boot/Image";
constexpr int kProgramDeadlineMs = 10 * 60 * 1000;
constexpr int kInstallDeadlineMs = 60 * 1000;
constexpr int kForever = -1;
// A load counts once more have wanted a CPU than there are for this long.
constexpr int kBusySamples = 25;
constexpr timespec kSampleDistance = {.tv_nsec = 10'000'000};
constexpr double kLoadDeadline = 30;  // Seconds.

void MountOne(const char* type, const char* where) {
  mkdir(where, 0755);  // The archive may have it already.
  if (mount(type, where, type, 0, nullptr) != 0 && errno != EBUSY) {
    FailErrno(std::string("cannot mount ") + where);
  }
}

void MountAll() {
  MountOne("devtmpfs", "/dev");
  OpenConsole();
  MountOne("proc", "/proc");
  MountOne("sysfs", "/sys");
}

std::string CommandLine() {
  const auto text = ReadFile("/proc/cmdline");
  if (!text) FailErrno("cannot read /proc/cmdline");
  return std::string(WithoutTrailingSpace(*text));
}

Options OptionsIn(const std::string& command_line) {
  auto parsed = ParseOptions(command_line);
  if (const auto* error = std::get_if<std::string>(&parsed)) Fail(*error);
  return std::get<Options>(std::move(parsed));
}

void SayUp(const Options& options, size_t cpus) {
  utsname kernel = {};
  uname(&kernel);
  Say("up, cycle " + std::to_string(options.cycle) + " of " +
      std::to_string(options.cycles) + ", " + std::to_string(cpus) +
      " CPUs online, Linux " + kernel.release);
}

void TakeCpusOffline() {
  for (const unsigned cpu : OnlineCpus()) {
    if (cpu == 0) continue;
    const std::string name = "cpu" + std::to_string(cpu);
    if (!WriteFile("/sys/devices/system/cpu/" + name + "/online", "0")) {
      FailErrno("cannot take " + name + " offline");
    }
  }
  Mark(kMarkOffline, OnlineCpus().size());
}

// What the kernel calls the steps of CPU hotplug that it marks.
void SayStepNames() {
  const auto states = ReadFile("/sys/devices/system/cpu/hotplug/states");
  if (!states) FailErrno("cannot read the steps of CPU hotplug");
  for (const HotplugStep& step : ParseSteps(*states)) {
    for (std::string_view rest = step.name; !rest.empty(); rest.remove_prefix(
             std::min<size_t>(rest.size(), MARK_STEP_NAME_CHARS))) {
      Mark(MARK_CODE_STEP_NAME, PackStepName(step.number, rest));
    }
  }
}

// /dev/console cannot control a session; the terminal behind it can.
std::string ConsoleTerminal() {
  const auto active = ReadFile("/sys/class/tty/console/active");
  if (!active) FailErrno("cannot read which terminal the console is");
  const std::string_view names = WithoutTrailingSpace(*active);
  return "/dev/" + std::string(names.substr(names.rfind(' ') + 1));
}

void RunShell() {
  RunProgram({"/bin/busybox", "--install", "-s", "/bin"}, kInstallDeadlineMs);
  // A person is at the other end: no deadline.
  if (RunProgram({"/bin/sh", "-l"}, kForever, ConsoleTerminal()) ==
      kCannotStart) {
    Fail("cannot run /bin/sh on " + ConsoleTerminal());
  }
  reboot(RB_POWER_OFF);
}

double Now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) / 1e9;
}

Step NextStep(const Options& options, const char* kernel) {
  if (options.plan.empty()) return {.kernel = kernel, .words = {}};
  const auto plan = ReadFile(options.plan);
  if (!plan) FailErrno("cannot read " + options.plan);
  auto step = StepOf(*plan, options.cycle);
  if (const auto* error = std::get_if<std::string>(&step)) Fail(*error);
  return std::get<Step>(std::move(step));
}

std::string NextLine(const Options& options, std::string line,
                     const Step& step) {
  if (!options.plan.empty()) line = LineForStep(line, step);
  // A crash kernel lives in what this reserved.
  if (options.crash) line = WithoutKey(line, "crashkernel");
  return WithKey(line, "park.cycle", std::to_string(options.cycle + 1));
}

void RunCheck(const std::vector<std::string>& words) {
  const int status = RunProgram(words, kProgramDeadlineMs);
  if (status != 0) {
    Fail(words.front() + " ended with status " + std::to_string(status));
  }
  Say(words.front() + " passed");
}

size_t RunnableNow() {
  const auto load = ReadFile("/proc/loadavg");
  const auto runnable = load ? ParseRunnable(*load) : std::nullopt;
  if (!runnable) Fail("cannot read how many run from /proc/loadavg");
  return *runnable;
}

// Returns while it runs, and every CPU has more than it can do.
void StartLoad(const std::vector<std::string>& words, size_t cpus) {
  const auto child = StartProgram(words);
  if (!child) FailErrno("cannot start " + words.front());
  const double deadline = Now() + kLoadDeadline;
  for (int busy = 0; busy < kBusySamples;) {
    if (HasEnded(*child)) Fail(words.front() + " is no load: it has ended");
    if (Now() > deadline) {
      Fail("waited 30 s for " + words.front() + " to keep every CPU busy");
    }
    nanosleep(&kSampleDistance, nullptr);
    busy = RunnableNow() > cpus ? busy + 1 : 0;
  }
  Say("every CPU is busy with " + words.front());
}

NextKernel NextOf(const Options& options, const std::string& command_line,
                  const char* kernel) {
  const Step step = NextStep(options, kernel);
  return {.call = options.kexec,
          .crash = options.crash,
          .permute = options.permute,
          .path = step.kernel,
          .command_line = NextLine(options, command_line, step),
          .old_command_line = command_line};
}

[[noreturn]] void KexecOnce(const Options& options, const NextKernel& next) {
  const double begun = Now();
  LoadNextKernel(next);
  char line[64];
  std::snprintf(line, sizeof(line), "loaded the next kernel in %.3f s",
                Now() - begun);
  Say(line);
  if (options.crash) {
    WriteFile("/proc/sysrq-trigger", "c");
    FailErrno("the machine did not crash");
  }
  Mark(MARK_CODE_KEXEC, OnlineCpus().size());
  EnterNextKernel();
}

void EndMachine(End end) {
  DrainConsole();
  switch (end) {
    case End::kPowerOff:
      reboot(RB_POWER_OFF);
      break;
    case End::kReboot:
      reboot(RB_AUTOBOOT);
      break;
    case End::kHalt:
      reboot(RB_HALT_SYSTEM);
      break;
    case End::kPanic:
      WriteFile("/proc/sysrq-trigger", "c");
      break;
    case End::kIdle:
      for (;;) pause();
    case End::kHang:
      for (;;) asm volatile("");
  }
  FailErrno("the machine did not end");
}

void Run() {
  MountAll();
  const std::optional<Command> command = FindCommand();
  const bool marks = OpenMarkDevice(command ? Marks::kWelcome : Marks::kNeeded);
  if (!marks) Say("no mark device: this run has no marks");
  const std::string command_line = CommandLine();
  const Options options = OptionsIn(command_line);
  if (!options.marks) CloseMarkDevice();
  const size_t cpus = OnlineCpus().size();
  Mark(MARK_CODE_UP, cpus);
  SayUp(options, cpus);
  const bool kexecs = options.cycle < options.cycles;
  const NextKernel next =
      kexecs ? NextOf(options, command_line, command ? COMMAND_KERNEL : kKernel)
             : NextKernel();
  // Before anything runs that may take long.
  if (kexecs) RequireKexec(next);
  if (options.steps && options.cycle == 0) SayStepNames();
  if (!options.module.empty()) LoadModule(options.module);
  if (options.offline_all) TakeCpusOffline();
  if (options.shell) RunShell();
  if (!options.program.empty()) RunProgram(options.program, kProgramDeadlineMs);
  if (!options.check.empty()) RunCheck(options.check);
  if (command && RunCommand(*command) != 0) EndMachine(options.end);
  if (kexecs) {
    if (!options.load.empty()) StartLoad(options.load, cpus);
    KexecOnce(options, next);
  }
  EndMachine(options.end);
}

}  // namespace
}  // namespace guest_init

int main() {
  if (getpid() != 1) {
    guest_init::Say("this is the init of a guest; it runs as PID 1 only");
    return 1;
  }
  guest_init::Run();
}
