// SPDX-License-Identifier: Apache-2.0
// A run from its start to its verdict, on fake machines whose guests follow a
// script, by a fake clock.
#include "vmm/run/session.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "psci-emul/psci_abi.h"
#include "tests/support/fake_machine.h"
#include "tests/support/scratch.h"
#include "tools/guest/init/command_file.h"
#include "vmm/command/command_abi.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/run/silence.h"

namespace vmm {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Kind = StopReason::Kind;

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;

std::string ReadAll(int fd) {
  std::string all;
  char bytes[4096];
  pollfd poller = {fd, POLLIN, 0};
  while (poll(&poller, 1, 0) == 1) {
    const ssize_t got = read(fd, bytes, sizeof(bytes));
    if (got <= 0) break;
    all.append(bytes, static_cast<size_t>(got));
  }
  return all;
}

std::string Content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    CloseReader();
    CloseWriter();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void CloseReader() { Close(ends_[0]); }
  void CloseWriter() { Close(ends_[1]); }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  int ends_[2] = {-1, -1};
};

// --- What guests do

void Nothing(FakeMachine& /*machine*/) {}

FakeMachine::Step Stop(StopReason reason) {
  return [reason](FakeMachine& machine) { machine.RequestStop(reason); };
}

FakeMachine::Step Print(std::string text) {
  return [text](FakeMachine& machine) { machine.Print(text); };
}

FakeMachine::Step Push(Event event) {
  return [event](FakeMachine& machine) { machine.Push(event); };
}

FakeMachine::Step Mark(uint64_t code, uint64_t cpus) {
  return Push(
      {.kind = Event::Kind::kMark, .arguments = 2, .args = {code, cpus}});
}

// A kernel with one CPU asks for PSCI's version and says that it is up.
const FakeMachine::Step kVersion = [](FakeMachine& machine) {
  const int64_t now = machine.Now();
  machine.Push(
      {.ns = now + 1, .kind = Event::Kind::kPsci, .function = PSCI_VERSION});
  machine.Push({.ns = now + 2,
                .kind = Event::Kind::kPsci,
                .function = PSCI_MIGRATE_INFO_TYPE});
};
const FakeMachine::Step kCpu1IsCalled =
    Push({.kind = Event::Kind::kPsci, .function = PSCI_CPU_ON_64, .args = {1}});
const FakeMachine::Step kCpu1Starts =
    Push({.vcpu = 1, .kind = Event::Kind::kStart});
const FakeMachine::Step kCpu1Leaves =
    Push({.vcpu = 1, .kind = Event::Kind::kPsci, .function = PSCI_CPU_OFF});
const FakeMachine::Step kCpu1IsOff =
    Push({.vcpu = 1, .kind = Event::Kind::kOff});
const FakeMachine::Step kUp = Mark(MARK_CODE_UP, 1);
const FakeMachine::Step kKexec = Mark(MARK_CODE_KEXEC, 1);
const FakeMachine::Step kPowerOff = Stop({.kind = Kind::kPowerOff});
const FakeMachine::Step kReset = Stop({.kind = Kind::kReset});

class SessionTest : public testing::Test {
 protected:
  void SetUp() override { deps_.input = input_.reader(); }

  // Adds a machine for the session to make: one, and one for each reboot.
  void AddMachine(FakeMachine::Script script,
                  FakeMachine::Step prepare = Nothing) {
    machines_.push_back([this, script, prepare] {
      auto machine = std::make_unique<FakeMachine>(clock_, script);
      prepare(*machine);
      return machine;
    });
  }
  SessionResult Run() {
    deps_.create = [this]() -> absl::StatusOr<std::unique_ptr<MachineControl>> {
      if (made_ == machines_.size()) return absl::InternalError("no more");
      return machines_[made_++]();
    };
    if (!real_time_ && !keep_clock_) deps_.now_ns = [this] { return clock_(); };
    deps_.output = shares_stderr_ ? STDERR_FILENO : output_.writer();
    deps_.error = error_.writer();
    testing::internal::CaptureStderr();
    auto result = RunSession(spec_, options_, deps_);
    said_ = testing::internal::GetCapturedStderr();
    printed_ += ReadAll(output_.reader());
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : SessionResult();
  }
  SessionResult Run(FakeMachine::Script script,
                    FakeMachine::Step prepare = Nothing) {
    AddMachine(std::move(script), std::move(prepare));
    return Run();
  }
  std::string OnATerminal(const std::string& keys,
                          const std::function<std::string()>& run,
                          winsize size = {});
  std::string KeysOnATerminal(const std::string& keys, size_t input_room);

  MachineSpec spec_;
  SessionOptions options_;
  FakeClock clock_;
  const int64_t begin_ = clock_.ns;
  SessionDeps deps_;
  Pipe input_, output_, error_;
  std::string said_;     // On stderr.
  std::string printed_;  // By the guest, on stdout.
  size_t made_ = 0;
  bool real_time_ = false;
  bool keep_clock_ = false;     // deps_.now_ns is the test's.
  bool shares_stderr_ = false;  // The guest's output is ours, too.

 private:
  std::vector<std::function<std::unique_ptr<MachineControl>()>> machines_;
};

// --- Sleep

// A guest that is quiet and has no events but those that `while_asleep` makes.
// It is called where the session has decided to sleep; if it did so without
// anybody to wake it, the test would never end.
class SleepTest : public SessionTest {
 protected:
  SessionResult Sleeps(FakeMachine::Script script,
                       FakeMachine::Step while_asleep) {
    script.insert(script.begin(), Nothing);
    AddMachine(std::move(script), [this](FakeMachine& machine) {
      machine.quiet = true;
      machine_ = &machine;
    });
    deps_.now_ns = [this, while_asleep] {
      if (machine_ == nullptr) return clock_();
      // Once a round is over, the first to ask is who may decide to sleep.
      const bool decides = std::exchange(asked_, machine_->asked) != asked_;
      if (decides && clock_.ns >= begin_ + kSecond && before_it_sleeps_) {
        std::exchange(before_it_sleeps_, nullptr)(*machine_);
      }
      if (machine_->events().IsAsleep()) {
        ++slept_;
        clock_.step_ns = FakeClock::kTickNs;  // No tick is waited for.
        while_asleep(*machine_);
      }
      return clock_();
    };
    keep_clock_ = true;
    return Run();
  }
  FakeMachine* machine_ = nullptr;
  FakeMachine::Step before_it_sleeps_;  // Done once.
  int asked_ = 0;
  int slept_ = 0;
};

const FakeMachine::Script kSecondOfNothing(11, Nothing);

TEST_F(SleepTest, AnEventEndsIt) {
  FakeMachine::Script script = kSecondOfNothing;
  script.push_back(kPowerOff);
  const SessionResult result = Sleeps(script, kUp);
  EXPECT_EQ(result.stop.kind, Kind::kPowerOff);
  EXPECT_GE(slept_, 1);
}

TEST_F(SleepTest, AByteOnTheConsoleEndsIt) {
  FakeMachine::Script script = kSecondOfNothing;
  script.push_back(kPowerOff);
  Sleeps(script, [this](FakeMachine& machine) {
    if (slept_ == 1) machine.Print("login: ");
    if (slept_ > 1) kUp(machine);
  });
  EXPECT_EQ(printed_, "login: ");
}

TEST_F(SleepTest, A15TheAlarmOfTheGuestsClockEndsIt) {
  int rings = 0;
  Sleeps({Nothing}, [&](FakeMachine& machine) {
    rings = machine.rings;
    machine.alarm.Set(0);
    if (rings > 0) machine.RequestStop({.kind = Kind::kPowerOff});
  });
  EXPECT_GE(rings, 1);
}

TEST_F(SleepTest, TheTimeoutEndsIt) {
  options_.timeout = absl::Hours(1);
  const SessionResult result = Sleeps({Nothing}, [this](FakeMachine&) {
    clock_.ns = begin_ + int64_t{3600} * 1'000'000'000;
  });
  EXPECT_EQ(result.stop.kind, Kind::kTimeout);
}

TEST_F(SleepTest, NothingIsLookedAtUntilThen) {
  options_.timeout = absl::Hours(1);
  int looked = 0, looked_before = 0;
  Sleeps({[&](FakeMachine&) { ++looked; }}, [&](FakeMachine& machine) {
    if (slept_ == 1) looked_before = looked;
    machine.alarm.Set(0);
    if (machine.rings == 3) kPowerOff(machine);
  });
  EXPECT_EQ(looked, looked_before);
}

// Nobody would be told of it any more.
TEST_F(SleepTest, AByteThatCameJustBeforeIsWrittenFirst) {
  before_it_sleeps_ = [](FakeMachine& machine) { machine.Print("x"); };
  Sleeps({Nothing}, [this](FakeMachine& machine) {
    printed_ += ReadAll(output_.reader());
    EXPECT_EQ(printed_, "x");
    kPowerOff(machine);
  });
  EXPECT_GE(slept_, 1);
}

TEST_F(SleepTest, TheTimeToTellOfSilenceEndsIt) {
  Sleeps({Nothing}, [this](FakeMachine& machine) {
    if (slept_ == 1) clock_.ns += Silence::kFirstNs;
    if (slept_ == 5) kPowerOff(machine);
  });
  EXPECT_THAT(said_, ContainsRegex("nothing has happened for 1[0-9] s"));
}

TEST_F(SleepTest, TheEndOfAPanicsGraceEndsIt) {
  const SessionResult result =
      Sleeps({Print("Kernel panic - not syncing: x\n"), Nothing},
             [this](FakeMachine&) { clock_.ns += 5'000'000'001; });
  EXPECT_EQ(result.stop.kind, Kind::kPanicked);
}

TEST_F(SleepTest, NobodySleepsWhileSomethingIsToBeInspected) {
  FakeMachine::Script script(
      40, [](FakeMachine& machine) { machine.quiet = false; });
  script.push_back(kPowerOff);
  Sleeps(script, kUp);
  EXPECT_EQ(slept_, 0);
}

// --- Ends

TEST_F(SessionTest, APowerOffEndsItWell) {
  const SessionResult result = Run({kVersion, kUp, kPowerOff});
  EXPECT_EQ(result.conclusion.code, ExitCode::kOk);
  EXPECT_EQ(result.stop.kind, Kind::kPowerOff);
  ASSERT_EQ(result.boots.size(), 1u);
  EXPECT_TRUE(result.boots[0].came_up);
  EXPECT_EQ(result.resets, 0u);
  EXPECT_THAT(result.mpidrs, ElementsAre(0, 1));
  EXPECT_EQ(result.gic, GicVersion::kV2);
  EXPECT_EQ(result.park->pages.base(), GuestAddress(0x7f000000));
  EXPECT_THAT(said_, Not(HasSubstr("last lines")));
}

TEST_F(SessionTest, SaysWhichMachineRuns) {
  spec_ = {.memory_bytes = uint64_t{512} << 20, .vcpus = 1};
  spec_.kernel.format = "Image";
  Run({kPowerOff});
  EXPECT_THAT(said_, HasSubstr("vmm: 1 vCPU, 512 MiB, GICv2, PSCI answered by "
                               "the VMM, kernel: Image\n"));
  spec_.vcpus = 4;
  spec_.psci = PsciHandler::kKvm;
  Run({kPowerOff});
  EXPECT_THAT(said_, HasSubstr("vmm: 4 vCPUs, 512 MiB, GICv2, PSCI answered by "
                               "KVM, kernel: Image\n"));
}

TEST_F(SessionTest, TakesDigestsWhereTheyAreWanted) {
  const auto has_digests = [](FakeMachine& machine) {
    machine.digests = GuestDigests{.kernel = "12"};
  };
  EXPECT_EQ(Run({kPowerOff}, has_digests).digests.kernel, "");
  options_.whole_result = true;
  EXPECT_EQ(Run({kPowerOff}, has_digests).digests.kernel, "12");
  AddMachine({kPowerOff}, [](FakeMachine& machine) {
    machine.digests = absl::InternalError("no RAM");
  });
  EXPECT_EQ(RunSession(spec_, options_, deps_).status(),
            absl::InternalError("no RAM"));
}

TEST_F(SessionTest, AnErrorOfTheMachineIsReturned) {
  deps_.create = []() -> absl::StatusOr<std::unique_ptr<MachineControl>> {
    return absl::FailedPreconditionError("no KVM");
  };
  EXPECT_EQ(RunSession(spec_, options_, deps_).status(),
            absl::FailedPreconditionError("no KVM"));
}

TEST_F(SessionTest, AnEndThatIsNoneSaysWhereEachCpuIs) {
  const SessionResult result =
      Run({Print("first\nlast"), Stop({.kind = Kind::kStuck, .detail = "why"})},
          [](FakeMachine& machine) {
            machine.post_mortem = {
                {.state = psci::PowerState::kOn, .pc = 0xfeed},
                {.state = psci::PowerState::kOff, .door = psci::Door::kPage}};
          });
  EXPECT_EQ(result.conclusion.id, "vcpu-stuck");
  EXPECT_THAT(said_, EndsWith("last lines of the guest's console:\n"
                              "  | first\n"
                              "  | last\n"
                              "vCPU 0 (MPIDR 0x0): on, PC 0xfeed\n"
                              "vCPU 1 (MPIDR 0x1): off, parked by the page\n"));
}

TEST_F(SessionTest, ACpuIsInAFunctionIfItsKernelsSymbolsAreKnown) {
  const std::string map =
      "ffff800080010000 T _text\n"
      "ffff800080010800 T vectors\n"
      "ffff800080020000 T cpu_do_idle\n"
      "ffff800080030000 D _etext\n";
  options_.symbols = std::make_shared<const Symbols>(*Symbols::Read(
      "map", vmm::Content(std::vector<uint8_t>(map.begin(), map.end()))));
  Run({Stop({.kind = Kind::kStuck, .detail = "why"})},
      [](FakeMachine& machine) {
        machine.post_mortem = {{.state = psci::PowerState::kOn,
                                .pc = 0xffff8000ab020010,
                                .vectors = 0xffff8000ab010800},
                               {.state = psci::PowerState::kOn, .pc = 0x4000}};
      });
  EXPECT_THAT(said_, EndsWith("on, PC 0xffff8000ab020010 (cpu_do_idle+0x10)\n"
                              "vCPU 1 (MPIDR 0x1): on, PC 0x4000\n"));
}

TEST_F(SessionTest, ACpuThatCalledCpuOffIsNotParked) {
  Run({Stop({.kind = Kind::kAllOff})}, [](FakeMachine& machine) {
    machine.post_mortem = {
        {.state = psci::PowerState::kOff, .door = psci::Door::kCpuOff}};
  });
  EXPECT_THAT(said_, EndsWith("vCPU 0 (MPIDR 0x0): off\n"));
}

TEST_F(SessionTest, SignalsEndItAndNeedNoPostMortem) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const SessionResult result =
        Run({[signal](FakeMachine& /*machine*/) { raise(signal); }, Nothing});
    EXPECT_EQ(result.conclusion.code, ExitCode::kInterrupted);
    EXPECT_EQ(result.stop.detail, strsignal(signal));
    EXPECT_THAT(said_, Not(HasSubstr("last lines")));
  }
}

TEST_F(SessionTest, SignalsAreAsTheyWereAfterwards) {
  sigset_t mask;
  Run({[&](FakeMachine& machine) {
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    kPowerOff(machine);
  }});
  for (int signal = 1; signal < SIGSYS; ++signal) {
    const bool ours = signal == SIGINT || signal == SIGTERM ||
                      signal == SIGHUP || signal == SIGWINCH;
    EXPECT_EQ(sigismember(&mask, signal), ours) << strsignal(signal);
  }
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_FALSE(sigismember(&mask, SIGTERM));
}

// --- Deadlines

TEST_F(SessionTest, ATimeoutSaysWhatItWaitedFor) {
  options_.timeout = absl::Seconds(90);
  const FakeMachine::Script whole = {kVersion, kUp, kKexec};
  const std::pair<const char*, ExitCode> ends[] = {
      {"waited 1m30s for the guest's first sign of life; its console stayed "
       "empty",
       ExitCode::kBootTimeout},
      {"waited 1m30s for the guest to come up or power off",
       ExitCode::kTimeout},
      {"waited 1m30s for the guest to power off", ExitCode::kTimeout},
      {"waited 1m30s for kexec 1 to come up", ExitCode::kBootTimeout}};
  for (size_t steps = 0; steps <= whole.size(); ++steps) {
    FakeMachine::Script script(
        whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(steps));
    script.push_back(Nothing);
    const int64_t begin = clock_.ns;
    const SessionResult result = Run(script);
    EXPECT_EQ(result.stop.kind, Kind::kTimeout);
    EXPECT_EQ(result.conclusion.sentence, ends[steps].first);
    EXPECT_EQ(result.conclusion.code, ends[steps].second);
    EXPECT_EQ(clock_.ns - begin, 90 * kSecond);
  }
}

// As if the host failed to tell it. It is seen at the next look.
TEST_F(SessionTest, AStopThatWokeNobodyUpIsTheEnd) {
  const int64_t begin = clock_.ns;
  const SessionResult result =
      Run({kPowerOff}, [](FakeMachine& machine) { machine.mute = true; });
  EXPECT_EQ(result.stop.kind, Kind::kPowerOff);
  EXPECT_LT(clock_.ns - begin, kSecond);
}

TEST_F(SessionTest, SilenceIsToldAfterTenSecondsAndEachTimeItHasDoubled) {
  options_.timeout = absl::Seconds(100);
  Run({Nothing});
  std::vector<std::string> told;
  for (const absl::string_view line : absl::StrSplit(said_, '\n')) {
    if (absl::StrContains(line, "nothing has")) told.emplace_back(line);
  }
  std::vector<std::string> expected;
  for (const int seconds : {10, 20, 40, 80}) {
    expected.push_back(absl::StrCat("vmm: nothing has happened for ", seconds,
                                    " s, waiting for the guest's first sign of "
                                    "life"));
  }
  EXPECT_EQ(told, expected);
}

TEST_F(SessionTest, EachSignOfLifeBeginsAnotherSilence) {
  const size_t ticks = 9 * kSecond / FakeClock::kTickNs;
  FakeMachine::Script script;
  for (const FakeMachine::Step& sign : {Print("x"), kUp, Print("y")}) {
    script.insert(script.end(), ticks, Nothing);
    script.push_back(sign);
  }
  FakeMachine::Script well = script;
  well.push_back(kPowerOff);
  EXPECT_EQ(Run(well).stop.kind, Kind::kPowerOff);
  EXPECT_GT(clock_.ns - begin_, 27 * kSecond);
  EXPECT_THAT(said_, Not(HasSubstr("nothing has happened")));
  script.insert(script.end(), 2 * ticks, Nothing);
  script.push_back(kPowerOff);
  Run(script);
  EXPECT_THAT(said_, HasSubstr("nothing has happened for 10 s, waiting for the "
                               "guest to power off\n"));
}

TEST_F(SessionTest, APanicThatHangsIsNotWaitedForLong) {
  const SessionResult result =
      Run({Print("Kernel panic - not syncing: bad luck\n"), Nothing});
  EXPECT_EQ(result.stop.kind, Kind::kPanicked);
  EXPECT_EQ(result.conclusion.code, ExitCode::kGuestPanic);
  EXPECT_THAT(said_, HasSubstr("  | Kernel panic - not syncing: bad luck\n"));
  // Printed at the first tick, seen at its end; a tick later is too late.
  EXPECT_EQ(clock_.ns - begin_, 5 * kSecond + 3 * FakeClock::kTickNs);
}

TEST_F(SessionTest, APanicIsSeenThoughItsLineHasNoEnd) {
  const SessionResult result =
      Run({Print("Kernel panic - not syncing: cut"), kReset});
  EXPECT_EQ(result.conclusion.id, "guest-panic");
  EXPECT_THAT(result.conclusion.sentence, EndsWith("cut"));
}

TEST_F(SessionTest, APanicInTheLastWordsIsSeen) {
  const SessionResult result = Run({kReset}, [](FakeMachine& machine) {
    machine.at_join = Print("Kernel panic - not syncing: late");
  });
  EXPECT_EQ(result.conclusion.id, "guest-panic");
}

// A crash kernel has as long as any other, and a panic of its own has the
// grace of a first one.
TEST_F(SessionTest, ACrashKernelTakesOverFromAPanic) {
  const FakeMachine::Step panic = Print("Kernel panic - not syncing: x\n");
  const FakeMachine::Script crash = {kVersion, kUp, panic, kCpu1Leaves,
                                     kVersion};
  const auto wait = [this](int64_t ns) {
    return [this, ns](FakeMachine& /*machine*/) { clock_.ns += ns; };
  };
  FakeMachine::Script well = crash;
  well.emplace_back(wait(10 * kSecond));
  well.insert(well.end(), {kUp, kPowerOff});
  SessionResult result = Run(well);
  EXPECT_EQ(result.conclusion.code, ExitCode::kOk);
  EXPECT_EQ(result.boots.size(), 2u);

  FakeMachine::Script again = crash;
  again.emplace_back(wait(10 * kSecond));
  again.push_back(panic);
  again.emplace_back(wait(2 * kSecond));
  again.push_back(kReset);
  result = Run(again);
  EXPECT_EQ(result.stop.kind, Kind::kReset);
  EXPECT_EQ(result.conclusion.id, "guest-panic");
}

// faults.md A6: what a kernel says of its panic may take long.
TEST_F(SessionTest, EachSignOfLifeGivesAPanicItsGraceAnew) {
  FakeMachine::Script script = {Print("Kernel panic - not syncing: x\n")};
  for (int i = 0; i < 3; ++i) {
    script.insert(script.end(), 40, Nothing);
    script.push_back(Print("task dump\n"));
  }
  script.push_back(Nothing);
  const SessionResult result = Run(script);
  EXPECT_EQ(result.conclusion.code, ExitCode::kGuestPanic);
  EXPECT_GT(clock_.ns - begin_, 17 * kSecond);
  EXPECT_LT(clock_.ns - begin_, 19 * kSecond);
}

TEST_F(SessionTest, APanicsGraceIsAnOption) {
  options_.panic_grace = absl::Seconds(60);
  Run({Print("Kernel panic - not syncing: x\n"), Nothing});
  EXPECT_EQ(clock_.ns - begin_, 60 * kSecond + 3 * FakeClock::kTickNs);
}

// faults.md A7: a phrase is no panic while the guest lives on.
TEST_F(SessionTest, AGuestThatOnlySpeaksOfAPanicIsNotAccused) {
  const FakeMachine::Step phrase =
      Print("ok 1 - Kernel panic - not syncing is logged\n");
  EXPECT_EQ(Run({phrase, kPowerOff}).conclusion.code, ExitCode::kOk);
  FakeMachine::Script lives = {phrase, kUp};
  lives.insert(lives.end(), 100, Nothing);
  lives.push_back(kPowerOff);
  EXPECT_EQ(Run(lives).conclusion.code, ExitCode::kOk) << "a mark";
  options_.timeout = absl::Seconds(90);
  const SessionResult result = Run({phrase, Print("ok 2\n")});
  EXPECT_EQ(result.conclusion.code, ExitCode::kTimeout) << "it goes on";
}

// Events are seen some time after what is printed.
TEST_F(SessionTest, AMarkFromBeforeAPanicDoesNotRetractIt) {
  const FakeMachine::Step panic = Print("Kernel panic - not syncing: x\n");
  const SessionResult result = Run({kVersion,
                                    [&](FakeMachine& machine) {
                                      kUp(machine);
                                      panic(machine);
                                    },
                                    kReset});
  EXPECT_EQ(result.conclusion.id, "guest-panic");
}

TEST_F(SessionTest, AKernelThatHasEndedItsPanicIsBelieved) {
  const FakeMachine::Step panic = Print(
      "Kernel panic - not syncing: x\n"
      "---[ end Kernel panic - not syncing: x ]---\n");
  EXPECT_EQ(Run({panic, kPowerOff}).conclusion.id, "guest-panic");
}

// faults.md A11.
TEST_F(SessionTest, AGuestThatHaltedHasEnded) {
  const FakeMachine::Step halt = Print("[    9.1] reboot: System halted\r\n");
  SessionResult result = Run({kVersion, kUp, halt, Nothing});
  EXPECT_EQ(result.stop.kind, Kind::kHalted);
  EXPECT_EQ(result.conclusion.code, ExitCode::kOk);
  EXPECT_LT(clock_.ns - begin_, 3 * kSecond);
  FakeMachine::Script goes_on = {kVersion, kUp, halt, Print("no\n")};
  goes_on.insert(goes_on.end(), 50, Nothing);
  goes_on.push_back(kPowerOff);
  result = Run(goes_on);
  EXPECT_EQ(result.stop.kind, Kind::kPowerOff);
}

// faults.md A1, A12.
TEST_F(SessionTest, AGuestWithoutMarksIsJudgedByWhatIsSeen) {
  options_.expected_kexecs = 1;
  FakeMachine::Script script = {kVersion,    kCpu1IsCalled, kCpu1Starts,
                                kCpu1Leaves, kVersion,      kCpu1IsCalled,
                                kCpu1Starts, Nothing};
  SessionResult result = Run(script);
  EXPECT_EQ(result.conclusion.code, ExitCode::kTimeout);
  EXPECT_EQ(result.boots[1].came_up, CameUpBy::kSettled);
  EXPECT_THAT(said_, AllOf(ContainsRegex("boot +2 of 2"),
                           ContainsRegex("kexec 1 +2 of 2")));
  script.back() = kPowerOff;
  EXPECT_EQ(Run(script).conclusion.code, ExitCode::kOk);
  script.erase(script.end() - 2);  // CPU 1 never starts.
  result = Run(script);
  EXPECT_EQ(result.conclusion.code, ExitCode::kCpuStuck);
  EXPECT_THAT(result.conclusion.sentence,
              HasSubstr("vCPU 1 was called and never started"));
}

// Events are taken 50 ms late: what was called in between is not known yet.
TEST_F(SessionTest, AGuestSettlesOnceNoCallCanBeOnItsWay) {
  FakeMachine::Script script = {kVersion,    kCpu1IsCalled, kCpu1Starts,
                                kCpu1Leaves, kVersion,      kCpu1IsCalled,
                                kCpu1Starts};
  script.insert(script.end(), 9, Nothing);
  script.emplace_back([](FakeMachine& machine) {  // A second after the start.
    machine.Push({.ns = machine.Now() - 10 * kMs,
                  .kind = Event::Kind::kPsci,
                  .function = PSCI_AFFINITY_INFO_64,
                  .args = {1}});
    kReset(machine);
  });
  EXPECT_EQ(Run(script).boots.at(1).came_up, CameUpBy::kStopped);
  script.back() = Nothing;
  script.push_back(kReset);
  EXPECT_EQ(Run(script).boots.at(1).came_up, CameUpBy::kSettled);
}

// Without marks, only the panic before it tells a crash kernel from another.
TEST_F(SessionTest, AKernelThatFollowsAPanicIsACrashKernel) {
  FakeMachine::Script script = {kVersion, kCpu1IsCalled, kCpu1Starts,
                                Nothing,  kCpu1Leaves,   kVersion,
                                Nothing,  kPowerOff};
  EXPECT_FALSE(Run(script).boots.at(1).crash);
  script[3] = Print("Kernel panic - not syncing: x\n");
  EXPECT_TRUE(Run(script).boots.at(1).crash);
}

// A kernel that resets before its CPUs are there has not come up.
TEST_F(SessionTest, AResetInAKexecIsUnexpected) {
  const SessionResult result = Run({kVersion, kCpu1Leaves, kVersion, kReset});
  EXPECT_EQ(result.conclusion.id, "reset");
  EXPECT_FALSE(result.boots.back().came_up);
}

// --- Reboots

TEST_F(SessionTest, AResetIsTheEndUnlessAReboot) {
  AddMachine({kVersion, kUp, kReset});
  AddMachine({kVersion, kUp, kPowerOff});
  EXPECT_EQ(Run().conclusion.code, ExitCode::kUnexpectedReset);
  EXPECT_EQ(made_, 1u);
}

TEST_F(SessionTest, ARebootAddsUpWhatEachMachineDid) {
  options_.reboot_on_reset = true;
  options_.events_path = ScratchPath("events");
  AddMachine({kVersion, kUp, Print("one\n"), kReset}, [](FakeMachine& machine) {
    machine.mistakes = {.unowned_accesses = 1, .undecodable = 2};
    machine.spinning = {.parks = 1, .parked_ns = 10, .host_cpu_ns = 100};
    machine.diagnoses = {
        {.fault = psci::ParkFault::kExitNotRam, .count = 1, .vcpu = 1}};
    for (size_t i = 0; i < EventRing::kCapacity + 3; ++i) {
      machine.events().ring(1).Push(
          {.ns = 1, .vcpu = 1, .kind = Event::Kind::kPowerOff});
    }
  });
  AddMachine(
      {kVersion, kUp, Print("two\n"), kPowerOff}, [](FakeMachine& machine) {
        machine.mistakes = {.unowned_accesses = 4, .unknown_calls = 8};
        machine.spinning = {.parks = 2, .parked_ns = 20, .host_cpu_ns = 200};
        machine.diagnoses = {
            {.fault = psci::ParkFault::kExitNotRam, .count = 2}};
      });
  const SessionResult result = Run();
  EXPECT_EQ(result.conclusion.code, ExitCode::kOk);
  EXPECT_EQ(result.resets, 1u);
  EXPECT_EQ(result.boots.size(), 2u);
  EXPECT_EQ(printed_, "one\ntwo\n");
  EXPECT_EQ(result.mistakes.unowned_accesses, 5u);
  EXPECT_EQ(result.mistakes.undecodable, 2u);
  EXPECT_EQ(result.mistakes.unknown_calls, 8u);
  EXPECT_EQ(result.spinning->parks, 3u);
  EXPECT_EQ(result.spinning->parked_ns, 30);
  EXPECT_EQ(result.spinning->host_cpu_ns, 300);
  ASSERT_EQ(result.diagnoses.size(), 1u);
  EXPECT_EQ(result.diagnoses[0].count, 3u);
  EXPECT_EQ(result.diagnoses[0].vcpu, 1u);  // The first of its kind.
  EXPECT_EQ(result.lost_events, 3u);
  const std::string events = Content(options_.events_path);
  EXPECT_EQ(std::count(events.begin(), events.end(), '\n'),
            static_cast<ptrdiff_t>(EventRing::kCapacity + 6));
  EXPECT_THAT(said_, HasSubstr("vmm: the guest reset; booting again\n"));
  unlink(options_.events_path.c_str());
}

TEST_F(SessionTest, TheFirstMachineIsGoneBeforeTheSecondIsMade) {
  options_.reboot_on_reset = true;
  struct Guard {
    explicit Guard(int& machines) : count(machines) { ++count; }
    ~Guard() { --count; }
    int& count;
  };
  int alive = 0, most = 0;
  const auto prepare = [&](FakeMachine& machine) {
    auto guard = std::make_shared<Guard>(alive);
    machine.at_join = [guard](FakeMachine& /*machine*/) {};
    most = std::max(most, alive);
  };
  AddMachine({kReset}, prepare);
  AddMachine({kPowerOff}, prepare);
  Run();
  EXPECT_EQ(made_, 2u);
  EXPECT_EQ(most, 1);
}

TEST_F(SessionTest, ADiagnosisBeforeARebootFailsAStrictRun) {
  options_.reboot_on_reset = options_.strict = true;
  AddMachine({kReset}, [](FakeMachine& machine) {
    machine.diagnoses = {{.fault = psci::ParkFault::kExitNotRam, .count = 1}};
  });
  AddMachine({kPowerOff});
  EXPECT_EQ(Run().conclusion.id, "exit-not-ram");
}

TEST_F(SessionTest, ARebootHasNoNewTimeout) {
  options_.reboot_on_reset = true;
  options_.timeout = absl::Seconds(1);
  for (int i = 0; i < 100; ++i) AddMachine({Nothing, kReset});
  Run();
  EXPECT_LE(clock_.ns - begin_, kSecond + 3 * FakeClock::kTickNs);
}

TEST_F(SessionTest, AResetAfterTheTimeoutIsTheEnd) {
  options_.reboot_on_reset = true;
  options_.timeout = absl::Seconds(1);
  AddMachine({[this](FakeMachine& machine) {
    clock_.ns += kSecond;
    machine.RequestStop({.kind = Kind::kReset});
  }});
  EXPECT_EQ(Run().conclusion.id, "reset");
}

// --- The console

TEST_F(SessionTest, TheLastWordsOfAGuestAreWritten) {
  const std::string words(20'000, 'x');
  Run({Print("hello\n"), kPowerOff},
      [&](FakeMachine& machine) { machine.at_join = Print(words); });
  EXPECT_EQ(printed_, "hello\n" + words);
}

TEST_F(SessionTest, WhatHasNoNewlineIsWrittenSoon) {
  Run({Print("login: "), Nothing, [this](FakeMachine& machine) {
         EXPECT_EQ(ReadAll(output_.reader()), "login: ");
         machine.RequestStop({.kind = Kind::kPowerOff});
       }});
}

// A reader that stops reading holds the guest up, which then loses nothing.
TEST_F(SessionTest, ASlowReaderLosesNothing) {
  constexpr size_t kBytes = 400 * 1024;  // More than a pipe and a buffer hold.
  size_t sent = 0;
  bool was_full = false;
  Run({[&](FakeMachine& machine) {
    for (; sent < kBytes && !machine.console().Full(); ++sent) {
      machine.console().Put(static_cast<uint8_t>('a' + sent % 26));
    }
    // Only a guest that cannot go on makes the reader read.
    if (sent < kBytes && !was_full) {
      was_full = machine.console().Full();
      return;
    }
    was_full = false;
    printed_ += ReadAll(output_.reader());
    if (printed_.size() > kBytes - 64 * 1024) {
      machine.RequestStop({.kind = Kind::kPowerOff});
    }
  }});
  ASSERT_EQ(printed_.size(), kBytes);
  for (size_t i = 0; i < kBytes; ++i) {
    ASSERT_EQ(printed_[i], static_cast<char>('a' + i % 26)) << i;
  }
}

TEST_F(SessionTest, AReaderThatNeverReadsIsGivenFiveSeconds) {
  const int full = fcntl(output_.writer(), F_SETPIPE_SZ, 4096);
  ASSERT_EQ(full, 4096);
  int64_t stopped = 0;
  Run({Print(std::string(20'000, 'x')), kPowerOff}, [&](FakeMachine& machine) {
    machine.at_join = [&](FakeMachine& /*machine*/) {
      stopped = clock_.ns;
      clock_.step_ns = kSecond;
    };
  });
  EXPECT_GE(clock_.ns - stopped, 5 * kSecond);
  EXPECT_LE(clock_.ns - stopped, 10 * kSecond);
}

// What a guest says is not kept for a reader that does not come.
TEST_F(SessionTest, AGuestWhoseReaderIsSlowIsHeldUp) {
  ASSERT_EQ(fcntl(output_.writer(), F_SETPIPE_SZ, 4096), 4096);
  const FakeMachine::Step fill = [](FakeMachine& machine) {
    while (!machine.console().Full()) machine.Print("x");
  };
  Run({fill, fill, [this](FakeMachine& machine) {
         EXPECT_TRUE(machine.console().Full());
         output_.CloseReader();
         kPowerOff(machine);
       }});
}

TEST_F(SessionTest, TheLastWordsOfAGuestComeBeforeTheRowOfItsBoot) {
  shares_stderr_ = true;
  Run({kVersion, kPowerOff}, [](FakeMachine& machine) {
    machine.at_join = [](FakeMachine& ended) {
      ended.Print("last words\n");
      kUp(ended);
    };
  });
  EXPECT_THAT(said_, ContainsRegex("last words\n.*\\[ms\\].*\nboot "));
}

// By the real clock: only where time passes can a session be seen to sleep.
TEST_F(SessionTest, ASessionWithNothingToDoSleeps) {
  input_.CloseWriter();
  AddMachine({[](FakeMachine& machine) { machine.asked = 0; }, Nothing,
              [](FakeMachine& machine) {
                EXPECT_LT(machine.asked, 10);
                machine.RequestStop({.kind = Kind::kPowerOff});
              }});
  real_time_ = true;
  EXPECT_EQ(Run().conclusion.code, ExitCode::kOk);
}

TEST_F(SessionTest, ASessionWhoseReaderIsSlowSleeps) {
  ASSERT_EQ(fcntl(output_.writer(), F_SETPIPE_SZ, 4096), 4096);
  ASSERT_EQ(write(input_.writer(), "typed", 5), 5);
  AddMachine({[](FakeMachine& machine) {
                machine.input_room = 0;
                machine.Print(std::string(6000, 'x') + "\n");
              },
              Print("more\n"), [](FakeMachine& machine) { machine.asked = 0; },
              Nothing,
              [this](FakeMachine& machine) {
                EXPECT_LT(machine.asked, 10);
                printed_ += ReadAll(output_.reader());
                machine.RequestStop({.kind = Kind::kPowerOff});
              }},
             [this](FakeMachine& machine) {
               machine.input_room = 0;
               machine.at_join = [this](FakeMachine& /*ended*/) {
                 printed_ += ReadAll(output_.reader());
               };
             });
  real_time_ = true;
  Run();
}

TEST_F(SessionTest, AReaderThatIsGoneHoldsNothingUp) {
  AddMachine({Print("one\n"), Nothing, Print("two\n"), kPowerOff});
  output_.CloseReader();
  EXPECT_EQ(Run().conclusion.code, ExitCode::kOutputLost);
}

TEST_F(SessionTest, WhatIsTypedReachesTheGuestInPieces) {
  std::string got;
  ASSERT_EQ(write(input_.writer(), "echo hi\n", 8), 8);
  Run({[&](FakeMachine& machine) {
        machine.input_room = 3;
        got = machine.input;
        if (got.size() == 8) machine.RequestStop({.kind = Kind::kPowerOff});
      }},
      [](FakeMachine& machine) { machine.input_room = 0; });
  EXPECT_EQ(got, "echo hi\n");
}

TEST_F(SessionTest, AByteAloneReachesTheGuest) {
  ASSERT_EQ(write(input_.writer(), "x", 1), 1);
  std::string got;
  Run({Nothing, [&](FakeMachine& machine) {
         got = machine.input;
         kPowerOff(machine);
       }});
  EXPECT_EQ(got, "x");
}

// Keys are commands on a terminal alone: a file may hold any byte.
TEST_F(SessionTest, BytesOfAPipeAreNoCommands) {
  ASSERT_EQ(write(input_.writer(), "\x01x", 2), 2);
  std::string got;
  const SessionResult result = Run({Nothing, [&](FakeMachine& machine) {
                                      got = machine.input;
                                      kPowerOff(machine);
                                    }});
  EXPECT_EQ(result.conclusion.code, ExitCode::kOk);
  EXPECT_EQ(got, "\x01x");
}

// Runs a session in a child that has a terminal of its own, and types `keys`
// there. Returns what `run` returns.
std::string SessionTest::OnATerminal(const std::string& keys,
                                     const std::function<std::string()>& run,
                                     winsize size) {
  Pipe report;
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    deps_.input = STDIN_FILENO;
    const std::string told = run();
    _exit(write(report.writer(), told.data(), told.size()) < 0 ? 1 : 0);
  }
  EXPECT_EQ(write(terminal, keys.data(), keys.size()),
            static_cast<ssize_t>(keys.size()));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  close(terminal);
  return ReadAll(report.reader());
}

// With a guest that takes `input_room` bytes. Returns what that got, why the
// run ended and what was said.
std::string SessionTest::KeysOnATerminal(const std::string& keys,
                                         size_t input_room) {
  return OnATerminal(keys, [this, input_room] {
    std::string input;
    real_time_ = true;
    options_.timeout = absl::Seconds(20);
    const SessionResult result = Run({Nothing}, [&](FakeMachine& machine) {
      machine.input_room = input_room;
      machine.at_join = [&](FakeMachine& ended) { input = ended.input; };
    });
    return input + "|" + result.stop.detail + "|" + said_;
  });
}

// Whoever types at a guest that answers knows what he waits for.
TEST_F(SessionTest, OnATerminalSilenceIsToldOfAnEmptyConsoleOnly) {
  options_.timeout = absl::Seconds(15);
  const auto told = [this](const FakeMachine::Script& script) {
    return OnATerminal("", [&] {
      Run(script);
      return said_;
    });
  };
  EXPECT_THAT(told({Nothing}), HasSubstr("nothing has happened for 10 s"));
  EXPECT_THAT(told({Print("login: "), Nothing}),
              Not(HasSubstr("nothing has happened")));
}

TEST_F(SessionTest, OnATerminalCtrlACommands) {
  const std::string told = KeysOnATerminal("ls\x01h\x01x", SIZE_MAX);
  EXPECT_THAT(told, StartsWith("ls|ctrl-a x|"));
  EXPECT_THAT(told, HasSubstr("vmm: ctrl-a x ends the run, ctrl-a h helps\n"));
  EXPECT_THAT(told, HasSubstr("vmm: ctrl-a x: end the run; ctrl-a ctrl-a: send "
                              "ctrl-a\n"));
}

// More than is read at once comes before the command.
TEST_F(SessionTest, B3CtrlACommandsThoughTheGuestTakesNoInput) {
  EXPECT_THAT(KeysOnATerminal(std::string(300, 'l') + "\x01x", 0),
              StartsWith("|ctrl-a x|"));
}

TEST_F(SessionTest, TheEndOfInputIsNotTheEndOfTheRun) {
  input_.CloseWriter();
  int rounds = 0;
  const SessionResult result = Run({[&](FakeMachine& machine) {
    if (++rounds == 20) machine.RequestStop({.kind = Kind::kPowerOff});
  }});
  EXPECT_EQ(result.conclusion.code, ExitCode::kOk);
}

// --- A command in the guest

FakeMachine::Step Frame(char type, std::string payload) {
  return [=](FakeMachine& machine) {
    machine.Send(guest_init::MakeFrame(type, payload));
  };
}
const FakeMachine::Step kHello = Frame(COMMAND_HELLO, "");

FakeMachine::Step Exit(char status) {
  return Frame(COMMAND_EXIT, std::string(1, status));
}

void Linked(FakeMachine& machine) { machine.has_link = true; }

class CommandSessionTest : public SessionTest {
 protected:
  CommandSessionTest() { options_.command = true; }
};

TEST_F(CommandSessionTest, ItsStreamsAreTheProcesss) {
  const SessionResult result =
      Run({kVersion, Print("Booting Linux\n"), kUp, kHello,
           Frame(COMMAND_STDOUT, "out"), Frame(COMMAND_STDERR, "err"), Exit(7),
           kPowerOff},
          Linked);
  EXPECT_EQ(result.conclusion.code, static_cast<ExitCode>(7));
  EXPECT_EQ(printed_, "out");
  EXPECT_EQ(ReadAll(error_.reader()), "err");
  // It says by itself what went wrong.
  EXPECT_THAT(said_, Not(HasSubstr("Booting")));
  EXPECT_THAT(said_, Not(HasSubstr("[ms]")));
}

TEST_F(CommandSessionTest, TheRowsOfItsKexecsAreShown) {
  Run({kVersion, kUp, kKexec, kVersion, kUp, kHello, Exit(0), kPowerOff},
      Linked);
  EXPECT_THAT(said_, ContainsRegex("\\[ms\\].*\nkexec 1 "));
  EXPECT_THAT(said_, Not(HasSubstr("\nboot ")));
}

// By the real clock, as above.
TEST_F(CommandSessionTest, ASessionWithNothingToDoSleeps) {
  AddMachine({kHello, Frame(COMMAND_STDERR, "err"), Nothing,
              [](FakeMachine& machine) { machine.asked = 0; }, Nothing,
              [](FakeMachine& machine) {
                EXPECT_LT(machine.asked, 10);
                kPowerOff(machine);
              }},
             Linked);
  real_time_ = true;
  Run();
  EXPECT_EQ(ReadAll(error_.reader()), "err");
}

TEST_F(CommandSessionTest, InputThatIsNotOverIsNotEnded) {
  std::string sent;
  Run({kHello, Frame(COMMAND_CREDIT, std::string("\3\0", 2)), Nothing,
       [&](FakeMachine& machine) {
         sent = machine.link_input;
         kPowerOff(machine);
       }},
      Linked);
  EXPECT_EQ(sent, "");
}

std::string SizeFrame(char rows, char columns) {
  return guest_init::MakeFrame(COMMAND_SIZE,
                               std::string{rows, '\0', columns, '\0'});
}

TEST_F(CommandSessionTest, ItsTerminalIsAsLargeAsOursIs) {
  options_.command_has_terminal = true;
  const auto run = [this] {
    std::string sent;
    Run({kHello, Nothing,
         [](FakeMachine& /*machine*/) {
           const winsize larger = {.ws_row = 50, .ws_col = 120};
           ioctl(STDIN_FILENO, TIOCSWINSZ, &larger);  // Raises SIGWINCH.
         },
         Nothing, Nothing, Exit(0), kPowerOff},
        [&](FakeMachine& machine) {
          machine.has_link = true;
          machine.at_join = [&](FakeMachine& ended) {
            sent = ended.link_input;
          };
        });
    return sent;
  };
  EXPECT_EQ(OnATerminal("", run, {.ws_row = 31, .ws_col = 97}),
            SizeFrame(31, 97) + SizeFrame(50, 120));
}

TEST_F(CommandSessionTest, TheConsoleIsShownIfAskedFor) {
  options_.verbose = true;
  Run({Print("Booting Linux\n"), kHello, Exit(0), kPowerOff}, Linked);
  EXPECT_EQ(printed_, "");
  EXPECT_EQ(ReadAll(error_.reader()), "Booting Linux\n");
}

TEST_F(CommandSessionTest, TheConsoleIsShownIfTheGuestPanics) {
  const SessionResult result = Run(
      {Print("Kernel panic - not syncing: why\n"), Nothing, kReset}, Linked);
  EXPECT_EQ(result.conclusion.id, "guest-panic");
  EXPECT_THAT(said_, HasSubstr("not syncing: why"));
}

TEST_F(CommandSessionTest, InputGoesToItAsItTakesIt) {
  ASSERT_EQ(write(input_.writer(), "typed", 5), 5);
  input_.CloseWriter();
  std::string sent;
  Run({kHello, Frame(COMMAND_CREDIT, std::string("\3\0", 2)), Nothing,
       Frame(COMMAND_CREDIT, std::string("\7\0", 2)), Nothing, Exit(0),
       [&](FakeMachine& machine) {
         sent = machine.link_input;
         EXPECT_EQ(machine.input, "");
         kPowerOff(machine);
       }},
      Linked);
  EXPECT_EQ(sent, guest_init::MakeFrame(COMMAND_INPUT, "typ") +
                      guest_init::MakeFrame(COMMAND_INPUT, "ed") +
                      guest_init::MakeFrame(COMMAND_INPUT_END, ""));
}

TEST_F(CommandSessionTest, TheLastWordsOfItAreWritten) {
  const std::string words(4000, 'x');
  Run({kHello, Exit(0), kPowerOff}, [&](FakeMachine& machine) {
    machine.has_link = true;
    machine.at_join = [&](FakeMachine& ended) {
      Frame(COMMAND_STDOUT, words)(ended);
      Frame(COMMAND_STDERR, "last words")(ended);
    };
  });
  EXPECT_EQ(printed_, words);
  EXPECT_EQ(ReadAll(error_.reader()), "last words");
}

TEST_F(CommandSessionTest, WhatTheRunWaitedForIsTheCommand) {
  options_.timeout = absl::Seconds(2);
  SessionResult result = Run({Print("Booting\n"), Nothing}, Linked);
  EXPECT_EQ(result.conclusion.id, "boot-timeout");
  EXPECT_EQ(result.stop.detail, "waited 2s for the command to start");
  result = Run({kHello, Nothing}, Linked);
  EXPECT_EQ(result.conclusion.id, "timeout");
  EXPECT_EQ(result.stop.detail, "waited 2s for the command to end");
}

TEST_F(CommandSessionTest, AnOutputOfItsThatIsLostHasACode) {
  output_.CloseReader();
  const SessionResult result =
      Run({kHello, Frame(COMMAND_STDOUT, "out"), Nothing, Exit(0), kPowerOff},
          Linked);
  EXPECT_EQ(result.conclusion.code, ExitCode::kOutputLost);
  EXPECT_THAT(result.conclusion.sentence,
              HasSubstr("cannot write the command's output to stdout"));
}

TEST_F(SessionTest, ComplaintsOfAKernelFailTheRunUnlessAllowed) {
  const FakeMachine::Script script = {Print("BUG: bad page\n"), kPowerOff};
  EXPECT_EQ(Run(script).conclusion.id, "guest-splat");
  options_.allowed_splats = {"bad page"};
  EXPECT_EQ(Run(script).conclusion.code, ExitCode::kOk);
}

// --- Events

TEST_F(SessionTest, EachBootIsARowUnderOneHeading) {
  Run({kVersion, kUp, kKexec, kVersion, kUp, kPowerOff});
  EXPECT_EQ(printed_, "");
  EXPECT_THAT(said_, ContainsRegex("\\[ms\\].*\nboot .*\nkexec 1 .*\n$"));
}

TEST_F(SessionTest, TheRowOfABootIsSaidWhileTheGuestRuns) {
  std::string early;
  Run({kVersion, kUp, Nothing, Nothing, Nothing, Nothing, Nothing, Nothing,
       [&](FakeMachine& machine) {
         early = testing::internal::GetCapturedStderr();
         testing::internal::CaptureStderr();
         machine.RequestStop({.kind = Kind::kPowerOff});
       }});
  EXPECT_THAT(early, HasSubstr("\nboot "));
}

// A vCPU may be between its stamp and its push: what is younger than 50 ms is
// not taken yet.
TEST_F(SessionTest, EventsAreInTheOrderOfTheirStamps) {
  options_.events_path = ScratchPath("events");
  Run({[](FakeMachine& machine) {
         // Looked at 100 ms later, as FakeClock says: younger than 50 ms.
         machine.Push({.ns = machine.Now() + 51 * kMs,
                       .vcpu = 1,
                       .kind = Event::Kind::kOff});
       },
       [](FakeMachine& machine) {
         machine.Push({.ns = machine.Now() - 60 * kMs,
                       .vcpu = 0,
                       .kind = Event::Kind::kReset});
         machine.RequestStop({.kind = Kind::kReset});
       }});
  const std::string events = Content(options_.events_path);
  EXPECT_LT(events.find(R"("event":"reset")"), events.find(R"("event":"off")"));
  EXPECT_NE(events.find(R"("event":"off")"), std::string::npos);
  unlink(options_.events_path.c_str());
}

// faults.md C2: the guest's verdict is said all the same.
TEST_F(SessionTest, AFileThatTakesNoEventsDoesNotEndTheRun) {
  options_.events_path = "/dev/full";
  SessionResult result = Run({kVersion, kUp, kPowerOff});
  EXPECT_EQ(result.conclusion.code, ExitCode::kOutputLost);
  EXPECT_EQ(result.conclusion.id, "output-lost");
  EXPECT_THAT(result.conclusion.sentence,
              AllOf(HasSubstr("/dev/full"), HasSubstr("No space left")));
  EXPECT_TRUE(result.boots[0].came_up);
  result = Run({kVersion, kUp, kReset});
  EXPECT_EQ(result.conclusion.code, ExitCode::kUnexpectedReset);
}

TEST_F(SessionTest, AnOutputThatTakesNoConsoleIsTold) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  deps_.create = [this]() -> absl::StatusOr<std::unique_ptr<MachineControl>> {
    return std::make_unique<FakeMachine>(
        clock_, FakeMachine::Script{Print("text\n"), Nothing, kPowerOff});
  };
  deps_.now_ns = [this] { return clock_(); };
  deps_.output = full;
  const auto result = RunSession(spec_, options_, deps_);
  close(full);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->conclusion.code, ExitCode::kOutputLost);
  EXPECT_THAT(result->conclusion.sentence, HasSubstr("to stdout"));
}

// faults.md C4.
TEST_F(SessionTest, APipeThatNobodyReadsIsRefused) {
  options_.events_path = ScratchPath("fifo");
  ASSERT_EQ(mkfifo(options_.events_path.c_str(), 0600), 0);
  deps_.create = [this]() -> absl::StatusOr<std::unique_ptr<MachineControl>> {
    return std::make_unique<FakeMachine>(clock_,
                                         FakeMachine::Script{kPowerOff});
  };
  EXPECT_TRUE(
      absl::IsInvalidArgument(RunSession(spec_, options_, deps_).status()));
  unlink(options_.events_path.c_str());
}

TEST_F(SessionTest, EventsThatAreLostAtTheVeryEndAreTold) {
  options_.events_path = "/dev/full";
  const SessionResult result = Run({kPowerOff}, [](FakeMachine& machine) {
    machine.at_join = [](FakeMachine& ended) { kVersion(ended); };
  });
  EXPECT_EQ(result.conclusion.id, "output-lost");
}

TEST_F(SessionTest, FilesThatCannotBeOpenedAreTheUsersErrors) {
  for (std::string* const path :
       {&options_.events_path, &options_.dump_dtb_path}) {
    *path = "/nowhere/file";
    AddMachine({kPowerOff});
    deps_.create = [this] {
      return std::make_unique<FakeMachine>(clock_,
                                           FakeMachine::Script{kPowerOff});
    };
    const absl::Status status = RunSession(spec_, options_, deps_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("/nowhere/file"));
    path->clear();
  }
}

TEST_F(SessionTest, ADeviceTreeThatIsLostDoesNotEndTheRun) {
  options_.dump_dtb_path = "/dev/full";
  const SessionResult result = Run({kPowerOff});
  EXPECT_EQ(result.conclusion.code, ExitCode::kOutputLost);
  EXPECT_THAT(result.conclusion.sentence, HasSubstr("/dev/full"));
}

TEST_F(SessionTest, WhatIsLostOfAGuestThatFailedIsToldToo) {
  options_.dump_dtb_path = "/dev/full";
  const SessionResult result = Run({kVersion, kUp, kReset});
  EXPECT_THAT(said_,
              HasSubstr("vmm: error: cannot write /dev/full: No space left on "
                        "device\n"));
  EXPECT_EQ(result.conclusion.id, "reset");
}

TEST_F(SessionTest, TheDeviceTreeIsWritten) {
  options_.dump_dtb_path = ScratchPath("dtb");
  Run({kPowerOff});
  EXPECT_EQ(Content(options_.dump_dtb_path), "\xd0\x0d");
  unlink(options_.dump_dtb_path.c_str());
}

TEST_F(SessionTest, VerboseSaysWhatEachCpuDid) {
  options_.verbose = true;
  Run({kVersion, kUp, kKexec, kCpu1Leaves, kCpu1IsOff, kVersion, kUp,
       kPowerOff});
  EXPECT_THAT(said_, ContainsRegex("\nboot [^\n]*\n(.*\n)*kexec 1 [^\n]*\n"
                                   "(.*\n)*.*0x1 [^\n]*\n\n$"));
}

TEST_F(SessionTest, TimesThatMeanNothingAreNotSaid) {
  options_.verbose = true;
  options_.times = Times::kHidden;
  Run({kVersion, kUp, kKexec, kCpu1Leaves, kCpu1IsOff, kVersion, kUp,
       kPowerOff});
  EXPECT_THAT(said_, ContainsRegex("\nboot +1 of 2 cpus-lost\n"
                                   "kexec 1 +1 of 1 pass\n$"));
}

TEST_F(SessionTest, KexecsAreSummedUpWithoutBeingKept) {
  FakeMachine::Script script = {kVersion, kUp};
  for (int i = 0; i < 9; ++i) {
    script.insert(script.end(), {kKexec, kVersion, kUp});
  }
  script.push_back(kPowerOff);
  const SessionResult result = Run(script);
  EXPECT_LT(result.boots.size(), 5u);
  EXPECT_EQ(result.kexecs.Summary(9, std::nullopt, Times::kHidden, ""),
            "parkvmm: 9 of 9 kexecs, 1 of 1 CPUs back each time");
}

}  // namespace
}  // namespace vmm
