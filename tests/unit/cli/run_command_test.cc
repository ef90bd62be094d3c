// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_command.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/support/packing.h"
#include "tests/support/scratch.h"
#include "vmm/base/log.h"
#include "vmm/cli/bisect.h"

namespace vmm {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// In a section's header, after its name.
struct PeSizes {
  uint32_t memory;
  uint32_t memory_offset = 0;
  uint32_t file;
  uint32_t file_offset;
};

class DryRunTest : public testing::Test {
 protected:
  DryRunTest() {
    std::ofstream(kernel_) << "a flat binary";
    options_.kernel = kernel_;
    options_.raw = true;
    options_.dry_run = true;
  }
  // Returns what the command printed.
  json Run(ExitCode expected) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(RunCommand(options_), expected);
    errors_ = testing::internal::GetCapturedStderr();
    return json::parse(testing::internal::GetCapturedStdout(), nullptr, false);
  }

  const std::string kernel_ = ScratchPath("kernel");
  RunOptions options_;
  std::string errors_;
};

TEST_F(DryRunTest, PrintsThePlanBesideTheConfiguration) {
  options_.cpus = 3;
  options_.park = "host";
  json printed = Run(ExitCode::kOk);
  const json plan = printed["plan"];
  EXPECT_EQ(plan["cpus"], 3);
  EXPECT_EQ(plan["ram"]["base"], "0x40000000");
  EXPECT_EQ(plan["kernel"]["base"], "0x40080000");
  EXPECT_EQ(plan["devices"].size(), 4u);
  printed.erase("plan");
  EXPECT_EQ(printed, ToJson(options_));
}

TEST_F(DryRunTest, WhatItPrintsIsAConfigFile) {
  const std::string path = ScratchPath("json");
  std::ofstream(path) << Run(ExitCode::kOk).dump();
  RunOptions again;
  CLI::App app;
  DefineRunOptions(app, again);
  app.parse("--config " + path);
  ASSERT_TRUE(ApplyConfigFile(app, again).ok());
  EXPECT_EQ(ToJson(again), ToJson(options_));
}

// The smallest unified kernel image: one section, which is a bare header.
std::string SmallUki() {
  std::string file(0x140, '\0');
  const auto put = [&](size_t offset, const auto& value) {
    std::memcpy(&file[offset], &value, sizeof(value));
  };
  file.replace(0, 2, "MZ");
  put(0x3c, uint32_t{0x40});
  file.replace(0x40, 2, "PE");
  put(0x46, uint16_t{1});
  file.replace(0x58, 6, ".linux");
  put(0x60, PeSizes{.memory = 0x40, .file = 0x40, .file_offset = 0x100});
  put(0x110, uint64_t{0x200000});
  file.replace(0x138, 4, "ARMd");
  return file;
}

TEST_F(DryRunTest, A17SaysWhatIsNotTakenOfAUnifiedKernelImage) {
  options_.raw = false;
  std::ofstream(kernel_, std::ios::binary) << SmallUki();
  EXPECT_EQ(Run(ExitCode::kOk)["plan"]["kernel"]["base"], "0x40000000");
  EXPECT_THAT(errors_, HasSubstr("its .linux is taken, its .initrd and "
                                 ".cmdline are not; to get one: aarch64-"));
}

TEST_F(DryRunTest, D4AKernelUnpacksToNoMoreThanTheGuestsRam) {
  options_.raw = false;
  options_.memory = 16 << 20;
  const std::vector<uint8_t> packed =
      Gzipped(std::vector<uint8_t>(options_.memory + 1));
  std::ofstream(kernel_, std::ios::binary)
      << std::string(packed.begin(), packed.end());
  Run(ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("unpacks to more than 16777216 bytes"));
}

TEST_F(DryRunTest, WithoutAKernelThereIsNoPlan) {
  for (const char* kernel : {"", "/nowhere/Image"}) {
    options_.kernel = kernel;
    EXPECT_EQ(Run(ExitCode::kOk), ToJson(options_));
  }
}

TEST_F(DryRunTest, AMachineThatCannotBeIsRefusedAsTheRunWouldRefuseIt) {
  options_.memory = 4096;
  EXPECT_EQ(Run(ExitCode::kUsage), ToJson(options_));
  EXPECT_THAT(errors_, HasSubstr("--memory must be a multiple of 2M"));
  options_.dry_run = false;
  Run(ExitCode::kUsage);
  EXPECT_THAT(errors_, HasSubstr("--memory must be a multiple of 2M"));
}

TEST_F(DryRunTest, IsIndentedForPeople) {
  testing::internal::CaptureStdout();
  RunCommand(options_);
  const std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_THAT(printed, StartsWith("{\n  \""));
  EXPECT_THAT(printed, EndsWith("}\n"));
}

// A run whose session is the test's: it keeps what it is given and returns what
// the test asks for.
class RunCommandTest : public testing::Test {
 protected:
  RunCommandTest() {
    std::ofstream(kernel_) << "a flat binary";
    options_.kernel = kernel_;
    options_.raw = true;
    options_.label = "kvm-on-tcg-icount";
    result_->conclusion = {};
  }
  ExitCode Run() {
    ran_ = false;
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const ExitCode code =
        RunCommand(options_, [this](MachineSpec& spec, const MachinePlan& plan,
                                    const SessionOptions& session) {
          ran_ = true;
          spec_ = spec;
          ram_ = plan.ram.size();
          session_ = session;
          if (during_) during_();
          return result_;
        });
    printed_ = testing::internal::GetCapturedStdout();
    if (!may_print_) EXPECT_THAT(printed_, IsEmpty());
    errors_ = testing::internal::GetCapturedStderr();
    return code;
  }
  // Returns what a refused run says: one line, without beginning the session.
  std::string Refused(ExitCode expected = ExitCode::kUsage) {
    EXPECT_EQ(Run(), expected);
    EXPECT_FALSE(ran_);
    EXPECT_THAT(errors_, StartsWith("vmm: error: "));
    EXPECT_THAT(errors_, EndsWith("\n"));
    return errors_.substr(12, errors_.size() - 13);
  }
  ExitCode RunThatFails(const absl::Status& status) {
    result_ = status;
    const ExitCode code = Run();
    EXPECT_TRUE(ran_);
    EXPECT_EQ(errors_, "vmm: error: " + std::string(status.message()) + "\n");
    return code;
  }

  const std::string kernel_ = ScratchPath("kernel");
  RunOptions options_;
  absl::StatusOr<SessionResult> result_ = SessionResult{};
  std::function<void()> during_;
  bool ran_ = false;
  MachineSpec spec_;
  uint64_t ram_ = 0;
  SessionOptions session_;
  bool may_print_ = false;  // On stdout.
  std::string printed_, errors_;
};

std::string Text(const Content& content) {
  const std::vector<uint8_t> bytes = content.ReadAll().value();
  return {bytes.begin(), bytes.end()};
}

TEST_F(RunCommandTest, WhatTheUserSaysIsTheMachine) {
  const std::string initrd = ScratchPath("initrd");
  std::ofstream(initrd) << "cpio";
  options_.initrd = initrd;
  options_.params = {"quiet", "root=/dev/ram0"};
  options_.memory = uint64_t{512} << 20;
  options_.cpus = 3;
  options_.firmware = "n1sdp";
  options_.park_base = "0x4f000000";
  options_.park_node = "reserved";
  options_.idle_states = true;
  options_.seed = 42;
  EXPECT_EQ(Run(), ExitCode::kOk);
  ASSERT_TRUE(ran_);
  EXPECT_EQ(Text(spec_.kernel.content), "a flat binary");
  EXPECT_EQ(Text(spec_.initrd), "cpio");
  EXPECT_EQ(spec_.command_line, "quiet root=/dev/ram0");
  EXPECT_EQ(spec_.memory_bytes, uint64_t{512} << 20);
  EXPECT_EQ(ram_, uint64_t{512} << 20);
  EXPECT_EQ(spec_.vcpus, 3u);
  EXPECT_EQ(spec_.psci, PsciHandler::kVmm);
  EXPECT_EQ(spec_.firmware.name, "n1sdp");
  EXPECT_EQ(spec_.park, ParkMode::kHost);
  EXPECT_EQ(spec_.park_base, GuestAddress(0x4f000000));
  EXPECT_FALSE(spec_.park_no_map);
  EXPECT_TRUE(spec_.idle_states);
  EXPECT_EQ(spec_.seed, 42u);
}

TEST_F(RunCommandTest, WhatTheUserDoesNotSayIsLeftOut) {
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_TRUE(spec_.initrd.empty());
  EXPECT_FALSE(session_.whole_result);
  EXPECT_EQ(spec_.command_line, "");
  EXPECT_EQ(spec_.park_base, std::nullopt);
  EXPECT_TRUE(spec_.park_no_map);
  EXPECT_FALSE(spec_.idle_states);
  EXPECT_EQ(spec_.seed, std::nullopt);
  EXPECT_EQ(session_.timeout, absl::Minutes(5));
  EXPECT_FALSE(session_.reboot_on_reset);
  EXPECT_EQ(session_.events_path, "");
  EXPECT_EQ(session_.dump_dtb_path, "");
  EXPECT_EQ(session_.expected_kexecs, std::nullopt);
  EXPECT_FALSE(session_.strict);
  EXPECT_THAT(session_.allowed_splats, IsEmpty());
  EXPECT_FALSE(session_.verbose);
}

TEST_F(RunCommandTest, CpusParkWhereTheUserSays) {
  const std::pair<const char*, ParkMode> modes[] = {{"host", ParkMode::kHost},
                                                    {"guest", ParkMode::kGuest},
                                                    {"off", ParkMode::kOff}};
  for (const auto& [park, mode] : modes) {
    options_.park = park;
    EXPECT_EQ(Run(), ExitCode::kOk);
    EXPECT_EQ(spec_.park, mode) << park;
  }
}

TEST_F(RunCommandTest, KvmMayAnswerPsci) {
  options_.psci = "kvm";
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_EQ(spec_.psci, PsciHandler::kKvm);
  EXPECT_EQ(spec_.park, ParkMode::kOff);
}

TEST_F(RunCommandTest, WhatTheUserSaysIsTheSession) {
  options_.timeout = "90s";
  options_.on_reset = "reboot";
  options_.events = "events.jsonl";
  options_.dump_dtb = "guest.dtb";
  options_.expect_kexecs = 7;
  options_.strict = true;
  options_.allow_splats = {"WARNING: a", "BUG: b"};
  options_.verbose = true;
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_EQ(session_.timeout, absl::Seconds(90));
  EXPECT_TRUE(session_.reboot_on_reset);
  EXPECT_FALSE(session_.reset_is_end);
  EXPECT_EQ(session_.events_path, "events.jsonl");
  EXPECT_EQ(session_.dump_dtb_path, "guest.dtb");
  EXPECT_EQ(session_.expected_kexecs, 7u);
  EXPECT_TRUE(session_.strict);
  EXPECT_THAT(session_.allowed_splats, ElementsAre("WARNING: a", "BUG: b"));
  EXPECT_TRUE(session_.verbose);
  options_.on_reset = "ok";
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_FALSE(session_.reboot_on_reset);
  EXPECT_TRUE(session_.reset_is_end);
}

class OpenSandbox : public Sandbox {
 public:
  absl::Status Enter(ThreadKind, absl::string_view) const override {
    return absl::OkStatus();
  }
};

TEST_F(RunCommandTest, TheMachinesThreadsAreConfinedAsTheProcessIs) {
  const Sandbox* made = nullptr;
  const auto confine =
      [&](const RunOptions&) -> absl::StatusOr<std::unique_ptr<const Sandbox>> {
    auto sandbox = std::make_unique<const OpenSandbox>();
    made = sandbox.get();
    return sandbox;
  };
  const auto run = [&](MachineSpec& spec, const MachinePlan&,
                       const SessionOptions&) {
    EXPECT_NE(made, nullptr);
    EXPECT_EQ(spec.sandbox, made);
    return result_;
  };
  EXPECT_EQ(RunCommand(options_, run, confine), ExitCode::kOk);
}

TEST_F(RunCommandTest, AHostWithoutMemoryOrThreadsIsToldAndNoCommitsFault) {
  const auto without_a_thread =
      [](MachineSpec&, const MachinePlan&,
         const SessionOptions&) -> absl::StatusOr<SessionResult> {
    throw std::system_error(
        std::make_error_code(std::errc::resource_unavailable_try_again));
  };
  const auto without_memory =
      [](MachineSpec&, const MachinePlan&,
         const SessionOptions&) -> absl::StatusOr<SessionResult> {
    throw std::bad_alloc();
  };
  options_.formats = {"junit:" + ScratchPath("junit")};
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunCommand(options_, without_a_thread), ExitCode::kHostCannot);
  EXPECT_EQ(RunCommand(options_, without_memory), ExitCode::kHostCannot);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "vmm: error: this host ran out of what the VMM needs: a thread: "
            "Resource temporarily unavailable\n"
            "vmm: error: this host ran out of what the VMM needs: memory\n");
  EXPECT_TRUE(std::filesystem::exists(ScratchPath("junit")));
  options_.bisect = true;
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunCommand(options_, without_a_thread), kBisectSkip);
  testing::internal::GetCapturedStderr();
}

TEST_F(RunCommandTest, AProcessThatCannotBeConfinedRunsNothing) {
  const auto confine =
      [](const RunOptions&) -> absl::StatusOr<std::unique_ptr<const Sandbox>> {
    return absl::FailedPreconditionError("no seccomp here");
  };
  const auto run = [&](MachineSpec&, const MachinePlan&,
                       const SessionOptions&) {
    ADD_FAILURE();
    return result_;
  };
  testing::internal::CaptureStderr();
  EXPECT_EQ(RunCommand(options_, run, confine), ExitCode::kHostCannot);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "vmm: error: no seccomp here\n");
}

TEST_F(RunCommandTest, ATimeoutIsADurationAboveZero) {
  options_.timeout = "90";
  EXPECT_EQ(Refused(), "--timeout 90 of what? say 90s or 90m");
  for (const char* timeout : {"soon", "0s", "-1s", "0", ""}) {
    options_.timeout = timeout;
    EXPECT_EQ(Refused(), "--timeout " + std::string(timeout) +
                             " is no duration; say 90s, 5m or 1h30m");
  }
  options_.timeout = "1ns";
  EXPECT_EQ(Run(), ExitCode::kOk);
}

TEST_F(RunCommandTest, AnAddressIsHexadecimalOrDecimal) {
  for (const char* base : {"0x4f000000", "0X4F000000", "1325400064"}) {
    options_.park_base = base;
    EXPECT_EQ(Run(), ExitCode::kOk);
    EXPECT_EQ(spec_.park_base, GuestAddress(0x4f000000)) << base;
  }
  for (const char* base : {"4f000000", "0xhere", "top"}) {
    options_.park_base = base;
    EXPECT_EQ(Refused(), "--park-base " + std::string(base) +
                             " is no address; say 0x7f000000, for example");
  }
}

TEST_F(RunCommandTest, FilesThatCannotBeReadAreNamed) {
  options_.initrd = "/nowhere/initrd";
  EXPECT_EQ(Refused(),
            "cannot open /nowhere/initrd: No such file or directory");
  options_.kernel = "/nowhere/Image";
  EXPECT_EQ(Refused(), "cannot open /nowhere/Image: No such file or directory");
  options_.kernel = "/proc/self";
  EXPECT_EQ(Refused(), "/proc/self is a directory, not a file");
  options_.kernel = kernel_ + "/Image";
  EXPECT_EQ(Refused(), "cannot open " + kernel_ + "/Image: Not a directory");
  options_.kernel = "";
  EXPECT_THAT(Refused(), StartsWith("which kernel?"));
}

// faults.md B11.
TEST_F(RunCommandTest, AnEmptyInitrdIsAMistake) {
  options_.initrd = ScratchPath("empty");
  std::ofstream(options_.initrd).flush();
  EXPECT_THAT(Refused(), HasSubstr("is empty"));
}

TEST_F(RunCommandTest, EachOutputHasAFileOfItsOwn) {
  options_.events = options_.results = ScratchPath("both");
  EXPECT_THAT(Refused(), StartsWith("--events and --results are one file"));
  std::ofstream(options_.events).flush();
  options_.results = options_.events + "2";
  std::filesystem::create_symlink(options_.events, options_.results);
  EXPECT_THAT(Refused(), StartsWith("--events and --results are one file"));
  options_.events = options_.results = "/dev/null";
  EXPECT_EQ(Run(), ExitCode::kOk);
}

TEST_F(RunCommandTest, SeveralOutputsMayGoToStdout) {
  options_.results = "-";
  options_.formats = {"tap:-", "ktap:/dev/stdout"};
  may_print_ = true;
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_THAT(printed_, StartsWith("{"));
  EXPECT_THAT(printed_, HasSubstr("\nTAP version"));
  EXPECT_THAT(printed_, HasSubstr("\nKTAP version"));
}

// faults.md B5.
TEST_F(RunCommandTest, ACommandLineThatLinuxWouldCutIsRefused) {
  options_.raw = true;
  options_.params = {std::string(2048, 'x')};
  EXPECT_EQ(Run(), ExitCode::kOk) << "a program may take what it likes";
}

// faults.md B6.
TEST_F(RunCommandTest, MoreRamThanTheHostHasIsTold) {
  options_.memory = uint64_t{255} << 30;
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_THAT(errors_,
              HasSubstr("the guest has 261120 MiB of RAM and this host"));
}

TEST_F(RunCommandTest, AFlatBinaryIsAKernelOnlyForWhoSaysSo) {
  options_.raw = false;
  EXPECT_THAT(Refused(), HasSubstr(kernel_));
}

TEST_F(RunCommandTest, AMachineThatCannotBeIsAUsageError) {
  options_.cpus = 0;
  EXPECT_EQ(Refused(), "--cpus must be 1 to 512");
  options_.cpus = 1;
  options_.firmware = "n1spd";
  EXPECT_THAT(Refused(), HasSubstr("n1spd"));
  options_.firmware = "none";
  // More kernel than RAM: kResourceExhausted, and the user's to mend.
  std::filesystem::resize_file(kernel_, uint64_t{70} << 20);
  options_.memory = uint64_t{64} << 20;
  EXPECT_THAT(Refused(), HasSubstr("--memory"));
}

TEST_F(RunCommandTest, WhoFailedDecidesTheExitCode) {
  EXPECT_EQ(RunThatFails(absl::FailedPreconditionError("no KVM")),
            ExitCode::kHostCannot);
  EXPECT_EQ(RunThatFails(absl::InvalidArgumentError("bad path")),
            ExitCode::kUsage);
  EXPECT_EQ(RunThatFails(absl::ResourceExhaustedError("no memory")),
            ExitCode::kHostCannot);
  EXPECT_EQ(RunThatFails(absl::DataLossError("the disk fails")),
            ExitCode::kHostCannot);
  EXPECT_EQ(RunThatFails(absl::InternalError("KVM ioctl KVM_RUN")),
            ExitCode::kVmmBug);
}

TEST_F(RunCommandTest, OnlyAHostWithoutKvmIsSkipped) {
  options_.skip_if_no_kvm = true;
  EXPECT_EQ(RunThatFails(absl::FailedPreconditionError("no KVM")),
            ExitCode::kSkipped);
  EXPECT_EQ(RunThatFails(absl::ResourceExhaustedError("no memory")),
            ExitCode::kHostCannot);
  EXPECT_EQ(RunThatFails(absl::InternalError("KVM ioctl KVM_RUN")),
            ExitCode::kVmmBug);
}

TEST_F(RunCommandTest, AFailedRunEndsWithItsSentenceAndId) {
  result_->conclusion = {.code = ExitCode::kGuestPanic,
                         .id = "guest-panic",
                         .sentence = "the guest panicked"};
  EXPECT_EQ(Run(), ExitCode::kGuestPanic);
  EXPECT_THAT(errors_,
              EndsWith("vmm: error: the guest panicked [guest-panic]\n"));
}

TEST_F(RunCommandTest, ARunEndsWithALineAboutItsKexecs) {
  const Boot kexec = {.number = 1,
                      .kexec = true,
                      .cpus = 4,
                      .cpus_back = 4,
                      .came_up = CameUpBy::kMark,
                      .phases = {.down = 2'000'000}};
  result_->kexecs.Add(kexec);
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_THAT(errors_, EndsWith("\nparkvmm: 1 of 1 kexec, 4 of 4 CPUs back; "
                                "down 2.000 ms, kvm-on-tcg-icount\n"));
  EXPECT_EQ(session_.times, Times::kShown);
  options_.label = "kvm-on-tcg";
  result_->boots = {kexec, {.number = 2, .kexec = true}};
  result_->conclusion = {.code = ExitCode::kGuestPanic,
                         .id = "guest-panic",
                         .sentence = "the guest panicked"};
  EXPECT_EQ(Run(), ExitCode::kGuestPanic);
  EXPECT_EQ(session_.times, Times::kHidden);
  EXPECT_THAT(errors_,
              EndsWith("\nparkvmm: 1 of 2 kexecs, 4 of 4 CPUs back\n"
                       "vmm: error: the guest panicked [guest-panic]\n"));
}

TEST_F(RunCommandTest, KexecsThatNeverCameAreCounted) {
  options_.expect_kexecs = 3;
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_THAT(errors_, EndsWith("\nparkvmm: 0 of 3 kexecs\n"));
}

TEST_F(RunCommandTest, ARunIsWrittenInEachFormat) {
  const std::string junit = ScratchPath("junit");
  const std::string text = ScratchPath("text");
  options_.formats = {"junit:" + junit, "text:" + text};
  options_.expect_kexecs = 1;
  result_->boots = {{.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark}};
  result_->conclusion = {ExitCode::kVerdict, "kexecs-missing", "none came"};
  EXPECT_EQ(Run(), ExitCode::kVerdict);
  EXPECT_TRUE(session_.whole_result);
  const auto content = [](const std::string& path) {
    std::ifstream file(path);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  EXPECT_THAT(content(junit), HasSubstr("tests=\"3\" failures=\"1\""));
  EXPECT_THAT(content(text), EndsWith(" pass\nparkvmm: 0 of 1 kexec\n"
                                      "none came [kexecs-missing]\n"));
  options_.skip_if_no_kvm = true;
  EXPECT_EQ(RunThatFails(absl::FailedPreconditionError("no KVM")),
            ExitCode::kSkipped);
  EXPECT_THAT(content(junit), HasSubstr("<skipped message=\"no KVM\"/>"));
  EXPECT_EQ(content(text), "no KVM\n");
  EXPECT_EQ(RunThatFails(absl::InternalError("KVM ioctl KVM_RUN")),
            ExitCode::kVmmBug);
  EXPECT_THAT(content(junit), HasSubstr("<error type=\"not-run\" "
                                        "message=\"KVM ioctl KVM_RUN\">"));
}

TEST_F(RunCommandTest, TimesAreJudgedOnlyWhereTheyMeanSomething) {
  options_.max = "down=5ms";
  EXPECT_EQ(Run(), ExitCode::kOk);
  EXPECT_TRUE(session_.whole_result);
  ASSERT_EQ(session_.limits.size(), 1u);
  EXPECT_EQ(session_.limits[0].ns, 5'000'000);
  options_.label = "kvm-on-tcg";
  EXPECT_THAT(Refused(), StartsWith("--max: times mean nothing under label"));
}

TEST_F(RunCommandTest, ABisectionGoesByTheGuest) {
  options_.bisect = true;
  EXPECT_EQ(Run(), kBisectGood);
  result_->conclusion = {ExitCode::kCpuStuck, "cpus-lost", "one is"};
  EXPECT_EQ(Run(), kBisectBad);
  options_.results = "/dev/full";
  EXPECT_EQ(Run(), kBisectBad) << "it was judged all the same";
  result_->conclusion = {};
  EXPECT_EQ(Run(), kBisectSkip);
  options_.results = "/nowhere/results";
  EXPECT_THAT(Refused(kBisectAbort), HasSubstr("/nowhere/results"));
  options_.results = "";
  options_.initrd = "/nowhere/initrd";
  EXPECT_THAT(Refused(kBisectSkip), HasSubstr("/nowhere/initrd"));
  options_.initrd = "";
  EXPECT_EQ(RunThatFails(absl::FailedPreconditionError("no KVM")), kBisectSkip);
}

TEST_F(RunCommandTest, AFormatThatIsLostHasACode) {
  options_.formats = {"tap:/dev/full", "ktap:" + ScratchPath("ktap")};
  EXPECT_EQ(Run(), ExitCode::kOutputLost);
  EXPECT_THAT(errors_, HasSubstr("/dev/full"));
  EXPECT_TRUE(std::filesystem::exists(ScratchPath("ktap")));
  options_.formats = {"tap:/nowhere/tap"};
  EXPECT_THAT(Refused(), HasSubstr("cannot write /nowhere/tap"));
  options_.formats = {"tap:" + ScratchPath("ktap"),
                      "ktap:" + ScratchPath("ktap")};
  EXPECT_THAT(Refused(), HasSubstr("are one file, and each replaces it"));
}

TEST_F(RunCommandTest, AGoodRunSaysNothingOfItsConclusion) {
  EXPECT_EQ(Run(), ExitCode::kOk);
  std::string caveats;
  for (const std::string& line :
       Caveats(options_, *LabelOf(ReadHostSigns(), options_.label), {})) {
    caveats += "vmm: " + line + "\n";
  }
  EXPECT_EQ(errors_, caveats);
}

TEST_F(RunCommandTest, ResultsAreWhatHappened) {
  options_.results = ScratchPath("results");
  options_.arm = "stop";
  EXPECT_EQ(Run(), ExitCode::kOk);
  std::ifstream file(options_.results);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(text, StartsWith("{\n  \""));
  EXPECT_THAT(text, EndsWith("}\n"));
  const json results = json::parse(text, nullptr, false);
  EXPECT_EQ(results["config"], ToJson(options_));
  EXPECT_EQ(results["arm"], "stop");
  EXPECT_THAT(text, HasSubstr("kvm-on-tcg-icount"));
  unlink(options_.results.c_str());
}

// faults.md C7.
TEST_F(RunCommandTest, WhatIsNoUtf8LosesNoResults) {
  options_.results = ScratchPath("results");
  options_.arm = "a\xff";
  EXPECT_EQ(Run(), ExitCode::kOk);
  std::ifstream file(options_.results);
  EXPECT_EQ(json::parse(file)["arm"], "a\ufffd");
  unlink(options_.results.c_str());
}

// faults.md C8.
TEST_F(RunCommandTest, WhatTheUserNamesReachesNoTerminalAsItIs) {
  options_.kernel = "/nowhere/\x1b[2J";
  EXPECT_THAT(Refused(), HasSubstr("/nowhere/\\x1b[2J"));
}

// In processes of their own, because it lasts.
TEST_F(RunCommandTest, WhatStderrDidNotTakeIsAnOutputThatIsLost) {
  const auto run = [this] {
    dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    LogInfo("lost");
    _exit(static_cast<int>(
        RunCommand(options_, [this](auto&&...) { return result_; })));
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(74), "");
  result_->conclusion = {.code = ExitCode::kGuestPanic};
  EXPECT_EXIT(run(), testing::ExitedWithCode(64), "");
}

TEST_F(RunCommandTest, APathWhereNoResultsCanBeIsRefusedBeforeTheRun) {
  options_.results = "/nowhere/results.json";
  EXPECT_EQ(Refused(),
            "cannot write /nowhere/results.json.tmp: No such file or "
            "directory");
  options_.results = "/proc";
  EXPECT_EQ(Refused(), "cannot write /proc: Is a directory");
}

TEST_F(RunCommandTest, ADiskThatIsFullAtTheEndHasACodeOfItsOwn) {
  options_.results = "/dev/full";
  EXPECT_EQ(Run(), ExitCode::kOutputLost);
  EXPECT_TRUE(ran_);
  EXPECT_THAT(errors_,
              HasSubstr("vmm: error: cannot write /dev/full: No space left on "
                        "device\n"));
}

TEST_F(RunCommandTest, AFolderThatVanishesMeanwhileIsNoUsageError) {
  const std::string folder = ScratchPath("folder");
  ASSERT_EQ(mkdir(folder.c_str(), 0777), 0);
  options_.results = folder + "/results.json";
  during_ = [&] { EXPECT_EQ(rmdir(folder.c_str()), 0); };
  EXPECT_EQ(Run(), ExitCode::kOutputLost);
  EXPECT_THAT(errors_, HasSubstr("vmm: error: cannot write " + folder));
}

TEST_F(RunCommandTest, ResultsThatCannotBeWrittenHideNoFailure) {
  options_.results = "/dev/full";
  result_->conclusion = {.code = ExitCode::kGuestPanic,
                         .id = "guest-panic",
                         .sentence = "the guest panicked"};
  EXPECT_EQ(Run(), ExitCode::kGuestPanic);
  EXPECT_THAT(errors_, HasSubstr("No space left on device\n"));
  EXPECT_THAT(errors_,
              EndsWith("vmm: error: the guest panicked [guest-panic]\n"));
}

TEST(RunCommandOnThisHostTest, NeedsAnArm64Host) {
#if defined(__aarch64__)
  GTEST_SKIP() << "this one is";
#endif
  RunOptions options;
  options.kernel = ScratchPath("kernel");
  options.raw = true;
  std::ofstream(options.kernel) << "a flat binary";
  for (const bool skip : {false, true}) {
    options.skip_if_no_kvm = skip;
    testing::internal::CaptureStderr();
    EXPECT_EQ(RunCommand(options),
              skip ? ExitCode::kSkipped : ExitCode::kHostCannot);
    const std::string errors = testing::internal::GetCapturedStderr();
    utsname name = {};
    ASSERT_EQ(uname(&name), 0);
    EXPECT_THAT(errors, StartsWith(std::string("vmm: error: this machine is ") +
                                   name.machine + ", AArch64"));
    EXPECT_THAT(errors, EndsWith(", AArch64 guests need an arm64 host with "
                                 "KVM; run it in the emulated arm64 host: "
                                 "tools/arm64-host -- vmm ...\n"));
  }
}

class CaveatsTest : public testing::Test {
 protected:
  std::vector<std::string> CaveatsOf(const HostLabel& label) {
    return Caveats(options_, label, result_);
  }
  RunOptions options_;
  SessionResult result_;
};

TEST_F(CaveatsTest, HardwareHasNone) {
  EXPECT_THAT(CaveatsOf({"kvm", "why"}), IsEmpty());
  EXPECT_THAT(CaveatsOf({"kvm-on-tcg-icount", "why"}), IsEmpty());
}

TEST_F(CaveatsTest, ALabelThatMakesTimesDoubtfulSaysSo) {
  EXPECT_THAT(CaveatsOf({"kvm-on-tcg", "why"}),
              ElementsAre("label kvm-on-tcg: an emulated host in wall-clock "
                          "time; counts and verdicts mean something, times do "
                          "not"));
  EXPECT_THAT(CaveatsOf({"kvm-on-vm", "DMI says QEMU"}),
              ElementsAre("label kvm-on-vm: times include those of the "
                          "hypervisor below this host; DMI says QEMU"));
}

TEST_F(CaveatsTest, ALabelThatTheUserInsistsOnSaysInPlaceOfWhich) {
  EXPECT_THAT(CaveatsOf({"kvm-on-vm", "insisted on by --label", true}),
              ElementsAre("label kvm-on-vm: insisted on by --label"));
}

TEST_F(CaveatsTest, WithKvmsPsciMuchIsUnknown) {
  options_.psci = "kvm";
  EXPECT_THAT(CaveatsOf({"kvm", "why"}),
              ElementsAre("PSCI was answered by KVM: the VMM saw only the "
                          "guest's marks, so the phases between them are not "
                          "known"));
}

TEST_F(CaveatsTest, E5PagesThatNobodyTookAreTold) {
  result_.park = ParkPlacement{.window = GuestRange::Fixed(0x7effe000, 0x8000),
                               .pages = GuestRange::Fixed(0x7f000000, 0x2000)};
  result_.boots = {{}, {.kexec = true, .doors = {.cpu_off = 3, .cpu_on = 3}}};
  EXPECT_THAT(CaveatsOf({"kvm", "why"}), IsEmpty()) << "nobody asked for them";
  options_.park = "host";
  EXPECT_THAT(CaveatsOf({"kvm", "why"}),
              ElementsAre(HasSubstr("park pages were offered at 0x7f000000 and "
                                    "no CPU took them")));
  result_.boots[1].doors = {.cpu_off = 2, .park = 1};
  EXPECT_THAT(CaveatsOf({"kvm", "why"}), IsEmpty()) << "one CPU did";
  result_.boots.pop_back();
  EXPECT_THAT(CaveatsOf({"kvm", "why"}), IsEmpty()) << "no CPU left";
  result_.boots.push_back({.kexec = true, .doors = {.cpu_off = 3}});
  result_.park.reset();
  EXPECT_THAT(CaveatsOf({"kvm", "why"}), IsEmpty()) << "there are none";
}

}  // namespace
}  // namespace vmm
