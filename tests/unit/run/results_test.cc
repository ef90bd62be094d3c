// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "vmm/base/sha256.h"

namespace vmm {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Results(const SessionResult& session, const MachineSpec& spec = {},
             const RunRequest& request = {},
             const std::vector<Case>& cases = {}) {
  return ResultsJson(request, spec, session, cases);
}

json Stop(const SessionResult& session) { return Results(session)["stop"]; }

TEST(ResultsTest, SaysWhatTheyAreAndHowTheyWereAskedFor) {
  const json results =
      Results({}, {},
              {.config = {{"cpus", 4}},
               .arm = "stock",
               .label = {"my-label", "by --label", /*insisted=*/true}});
  EXPECT_EQ(results["schema_version"], 2);
  EXPECT_EQ(results["kind"], "parkvmm-run");
  EXPECT_EQ(results["arm"], "stock");
  EXPECT_EQ(results["config"], (json{{"cpus", 4}}));
  EXPECT_EQ(results["label"], "my-label");
  EXPECT_EQ(results["label_insisted"], true);
  EXPECT_EQ(results["label_reason"], "by --label");
  EXPECT_EQ(results["tool"]["name"], "parkvmm");
  EXPECT_EQ(results["tool"]["vmm_sha256"].get<std::string>().size(), 64u);
  EXPECT_FALSE(results["host"].empty());
}

TEST(ResultsTest, NamesTheGuestByItsContent) {
  MachineSpec spec = {.command_line = "quiet", .psci = PsciHandler::kKvm};
  spec.kernel.format = "Image";
  spec.park = ParkMode::kOff;
  SessionResult session = {.digests = {.kernel = "12", .dtb = "56"},
                           .gic = GicVersion::kV2};
  json guest = Results(session, spec)["guest"];
  EXPECT_EQ(guest["kernel_format"], "Image");
  EXPECT_EQ(guest["kernel_sha256"], "12");
  EXPECT_EQ(guest["kernel_release"], nullptr);
  EXPECT_EQ(guest["initrd_sha256"], nullptr);
  EXPECT_EQ(guest["dtb_sha256"], "56");
  EXPECT_EQ(guest["command_line"], "quiet");
  EXPECT_EQ(guest["gic"], 2);
  EXPECT_EQ(guest["psci"], "kvm");
  EXPECT_EQ(guest["park"], "off");
  EXPECT_EQ(guest["park_pages"], nullptr);

  session.digests.kernel_release = "6.18.0-rc1";
  session.digests.initrd = "34";
  spec.psci = PsciHandler::kVmm;
  session.gic = GicVersion::kV3;
  session.park = ParkPlacement{.window = GuestRange::Fixed(0x7effe000, 0x8000),
                               .pages = GuestRange::Fixed(0x7f000000, 0x2000)};
  for (const auto& [mode, name] : {std::pair(ParkMode::kGuest, "guest"),
                                   std::pair(ParkMode::kHost, "host")}) {
    spec.park = mode;
    guest = Results(session, spec)["guest"];
    EXPECT_EQ(guest["park"], name);
    EXPECT_EQ(guest["kernel_release"], "6.18.0-rc1");
  }
  EXPECT_EQ(guest["initrd_sha256"], "34");
  EXPECT_EQ(guest["gic"], 3);
  EXPECT_EQ(guest["psci"], "vmm");
  EXPECT_EQ(guest["park_pages"],
            (json{{"base", "0x7f000000"}, {"bytes", 0x2000}}));
}

TEST(ResultsTest, HasTheFirmwareModelInNumbers) {
  const MachineSpec spec = {.firmware = {.name = "juno",
                                         .off_ns = 1,
                                         .on_ns = 2,
                                         .far_on_ns = 3,
                                         .cpus_per_socket = 4,
                                         .serialised = true}};
  EXPECT_EQ(Results({}, spec)["guest"]["firmware"],
            (json{{"name", "juno"},
                  {"off_ns", 1},
                  {"on_ns", 2},
                  {"far_on_ns", 3},
                  {"cpus_per_socket", 4},
                  {"lock", true}}));
}

TEST(ResultsTest, KeepsKexecsApartFromFirstBoots) {
  const json results = Results({.boots = {{.cpus = 1},
                                          {.kexec = true, .cpus = 2},
                                          {.kexec = true, .cpus = 3},
                                          {.cpus = 4}},
                                .mpidrs = {0}});
  ASSERT_EQ(results["boots"].size(), 2u);
  ASSERT_EQ(results["kexecs"].size(), 2u);
  EXPECT_EQ(results["boots"][1]["cpus"], 4);
  EXPECT_EQ(results["kexecs"][1]["cpus"], 3);
}

TEST(ResultsTest, HasTheCasesThatTheFormatsHave) {
  const json cases =
      Results({}, {}, {},
              {{.name = "boot", .ns = 5},
               {.name = "kexec 1",
                .outcome = Case::Outcome::kTimedOut,
                .id = "kexec-timeout",
                .message = "It did not come up.",
                .details = {"a line", "another"}},
               {.name = "kexec 2",
                .outcome = Case::Outcome::kSkipped,
                .id = "not-begun",
                .message = "it did not begin"},
               {.name = "kexec 3", .outcome = Case::Outcome::kFailed},
               {.name = "end", .outcome = Case::Outcome::kBroken}})["cases"];
  ASSERT_EQ(cases.size(), 5u);
  EXPECT_EQ(cases[0], (json{{"name", "boot"},
                            {"outcome", "passed"},
                            {"ns", 5},
                            {"id", nullptr},
                            {"message", nullptr},
                            {"details", json::array()}}));
  EXPECT_EQ(cases[1], (json{{"name", "kexec 1"},
                            {"outcome", "timed-out"},
                            {"ns", nullptr},
                            {"id", "kexec-timeout"},
                            {"message", "It did not come up."},
                            {"details", {"a line", "another"}}}));
  EXPECT_EQ(cases[2]["outcome"], "skipped");
  EXPECT_EQ(cases[3]["outcome"], "failed");
  EXPECT_EQ(cases[4]["outcome"], "broken");
}

TEST(ResultsTest, ARunThatWentWellHasNoReason) {
  const json stop = Stop({.stop = {.kind = StopReason::Kind::kPowerOff}});
  EXPECT_EQ(stop, (json{{"exit_code", 0},
                        {"id", nullptr},
                        {"sentence", nullptr},
                        {"resets", 0},
                        {"reset2", nullptr},
                        {"guest_verdict", nullptr}}));
}

TEST(ResultsTest, AFailureSaysWhoFailedAndWhatTheGuestGave) {
  const json reset =
      Stop({.conclusion = {ExitCode::kUnexpectedReset, "reset", "It reset."},
            .stop = {.kind = StopReason::Kind::kReset,
                     .reset2 = true,
                     .code = 0x80000001,
                     .value = 0x2a},
            .resets = 3});
  EXPECT_EQ(reset["exit_code"], 67);
  EXPECT_EQ(reset["id"], "reset");
  EXPECT_EQ(reset["sentence"], "It reset.");
  EXPECT_EQ(reset["resets"], 3);
  EXPECT_EQ(reset["reset2"],
            (json{{"type", "0x80000001"}, {"cookie", "0x2a"}}));
  EXPECT_EQ(reset["guest_verdict"], nullptr);
  EXPECT_EQ(Stop({.stop = {.kind = StopReason::Kind::kReset}})["reset2"],
            nullptr);
  EXPECT_EQ(Stop({.stop = {.kind = StopReason::Kind::kVerdict,
                           .code = 1,
                           .value = 7}})["guest_verdict"],
            (json{{"code", 1}, {"value", 7}}));
}

TEST(ResultsTest, HasEachDiagnosisInDetail) {
  EXPECT_EQ(Results({})["diagnoses"], json::array());
  const json results = Results(
      {.diagnoses = {{psci::ParkFault::kExitNotRam, 1, 2, 0x30, 0x40}, {}}});
  ASSERT_EQ(results["diagnoses"].size(), 2u);
  EXPECT_EQ(results["diagnoses"][0],
            (json{{"id", "exit-not-ram"},
                  {"sentence",
                   std::string(psci::SentenceOf(psci::ParkFault::kExitNotRam))},
                  {"count", 1},
                  {"vcpu", 2},
                  {"place", "0x30"},
                  {"value", "0x40"}}));
}

TEST(ResultsTest, CountsWhatSpinningCostAndWhatWasWrongOrLost) {
  json results = Results({});
  EXPECT_EQ(results["spinning"], nullptr);
  EXPECT_EQ(results["lost_events"], 0);
  results = Results({.mistakes = {.unowned_accesses = 1,
                                  .undecodable = 2,
                                  .unknown_calls = 3},
                     .spinning = SpinTotals{4, 5, 6},
                     .lost_events = 7});
  EXPECT_EQ(results["spinning"],
            (json{{"parks", 4}, {"parked_ns", 5}, {"host_cpu_ns", 6}}));
  EXPECT_EQ(results["guest_mistakes"], (json{{"unowned_accesses", 1},
                                             {"undecodable_accesses", 2},
                                             {"unknown_calls", 3}}));
  EXPECT_EQ(results["lost_events"], 7);
}

class UnlockedTest : public testing::Test {
 protected:
  static json Unlocked(const char* value) {
    setenv("PARKVMM_UNLOCKED", value, 1);
    return Results({})["unlocked"];
  }
  ~UnlockedTest() override { unsetenv("PARKVMM_UNLOCKED"); }
};

TEST_F(UnlockedTest, NamesPackagesThatTookThePlaceOfTheLocks) {
  unsetenv("PARKVMM_UNLOCKED");
  EXPECT_EQ(Results({})["unlocked"], json::array());
  EXPECT_EQ(Unlocked(""), json::array());
  EXPECT_EQ(Unlocked("qemu 7.2,linux 6.1"),
            (json::array({"qemu 7.2", "linux 6.1"})));
  EXPECT_EQ(Unlocked(",a,,b,"), (json::array({"a", "b"})));
}

// Anybody may have set the variable, and JSON is UTF-8.
TEST_F(UnlockedTest, HasNothingThatIsNotAscii) {
  EXPECT_EQ(Unlocked("a\xff\x1b[b"), (json::array({"a[b"})));
}

}  // namespace
}  // namespace vmm
