// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/report.h"

#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "tests/unit/measure/story.h"

namespace vmm {
namespace {

// No two figures are the same, so that none can stand in another's place.
const Boot kKexec = {
    .number = 3,
    .kexec = true,
    .announced = true,
    .cpus = 3,
    .cpus_back = 2,
    .came_up = CameUpBy::kSettled,
    .lost = {{1, LostCpu::Fate::kRefused, -4},
             {2, LostCpu::Fate::kNeverStarted}},
    .begin = 5'000'000,
    .total = 21'000'000,
    .teardown = 22'000'000,
    .phases = {1'000'000, 2'000'000, 3'000'000, 4'000'000, 5'000'000,
               6'000'000},
    .shares = {.down = Shares{100'000, 300'000, 500'000, 1'100'000}},
    .doors = {1, 2, 3, 4},
    .per_cpu = {{.vcpu = 1,
                 .at = {10, 20, 30, 40, 50},
                 .kernel_before_off = 101'000,
                 .vmm_off = 102'000,
                 .firmware_off = 103'000,
                 .guest_poll = 104'000,
                 .vmm_on = 105'000,
                 .firmware_on = 106'000,
                 .kernel_after_on = 107'000},
                {.vcpu = 2, .at = {.left = 60}}},
    .steps = Steps{.down = {{1, {{"sched", 7}}}}, .up = {{2, {{"idle", 8}}}}},
};

TEST(ReportTest, ARowHasEachPhaseInItsColumn) {
  EXPECT_EQ(TableHeading(Times::kShown),
            "[ms]      CPUs back prepare   down   jump  early     up   user  "
            "total verdict");
  EXPECT_EQ(TableRow(kKexec, Times::kShown),
            "kexec 3      2 of 3   1.000  2.000  3.000  4.000  5.000  6.000 "
            "21.000 cpus-lost");
  EXPECT_EQ(TableRow({.cpus = 4, .cpus_back = 4, .came_up = CameUpBy::kMark},
                     Times::kShown),
            "boot         4 of 4       -      -      -      -      -      -    "
            "  - pass");
}

TEST(ReportTest, TimesThatMeanNothingAreNotShown) {
  EXPECT_EQ(TableHeading(Times::kHidden), "          CPUs back verdict");
  EXPECT_EQ(TableRow(kKexec, Times::kHidden), "kexec 3      2 of 3 cpus-lost");
}

TEST(ReportTest, ARowHasRoomForManyCpusAndLongTimes) {
  constexpr int64_t kLong = 899'999'499'999;  // Just under 15 minutes.
  const Boot boot = {
      .number = 999,
      .cpus = 99,
      .cpus_back = 10,
      .came_up = CameUpBy::kMark,
      .total = kLong,
      .phases = {kLong, kLong, kLong, kLong, kLong, kLong},
  };
  EXPECT_LE(TableRow(boot, Times::kShown).size(), 80u);
  EXPECT_LE(PerCpuTable(kKexec, {0, 0x1, 0x1010203}).find('\n'), 80u);
}

TEST(ReportTest, ATimeHasAsManyDigitsAsFit) {
  const std::pair<int64_t, const char*> cases[] = {{0, "0.000"},
                                                   {1'499, "0.001"},
                                                   {99'999'499, "99.999"},
                                                   {99'999'500, "100.00"},
                                                   {999'994'999, "999.99"},
                                                   {999'995'000, "1000.0"},
                                                   {9'999'949'999, "9999.9"},
                                                   {9'999'950'000, "10000"}};
  for (const auto& [ns, text] : cases) EXPECT_EQ(Milliseconds(ns), text) << ns;
}

TEST(ReportTest, EachCpusIntervalIsInItsColumn) {
  EXPECT_EQ(PerCpuTable(kKexec, {0x0, 0x1, 0x100}),
            "vCPU MPIDR      kernel->off VMM off  fw off    poll  VMM on   fw "
            "on kernel on->\n"
            "1    0x1              0.101   0.102   0.103   0.104   0.105   "
            "0.106       0.107\n"
            "2    0x100                -       -       -       -       -       "
            "-           -\n");
}

TEST(ReportTest, JsonHasEachFigureByItsName) {
  EXPECT_EQ(ToJson(kKexec, {0x0, 0x1, 0x100}), nlohmann::json::parse(R"({
    "cpus": 3, "cpus_back": 2, "verdict": "cpus-lost", "announced": true,
    "crash": false, "came_up_by": "settled",
    "lost": [{"vcpu": 1, "mpidr": "0x1", "fate": "refused", "answer": -4},
             {"vcpu": 2, "mpidr": "0x100", "fate": "never-started",
              "answer": null}],
    "doors": {"cpu_off": 1, "park": 2, "cpu_on": 3, "release": 4},
    "begin_ns": 5000000, "total_ns": 21000000, "teardown_ns": 22000000,
    "phase_ns": {"prepare": 1000000, "down": 2000000, "jump": 3000000,
                 "early": 4000000, "up": 5000000, "userspace": 6000000},
    "split_ns": {"prepare": null,
                 "down": {"firmware": 100000, "vmm": 300000,
                          "polling": 500000, "kernel": 1100000},
                 "jump": null, "early": null, "up": null, "userspace": null},
    "per_cpu": [
      {"vcpu": 1, "mpidr": "0x1", "left_ns": 10, "off_ns": 20, "known_ns": 30,
       "called_ns": 40, "started_ns": 50, "kernel_before_off_ns": 101000,
       "vmm_off_ns": 102000, "firmware_off_ns": 103000,
       "guest_poll_ns": 104000, "vmm_on_ns": 105000, "firmware_on_ns": 106000,
       "kernel_after_on_ns": 107000},
      {"vcpu": 2, "mpidr": "0x100", "left_ns": 60, "off_ns": null,
       "known_ns": null, "called_ns": null, "started_ns": null,
       "kernel_before_off_ns": null, "vmm_off_ns": null,
       "firmware_off_ns": null, "guest_poll_ns": null, "vmm_on_ns": null,
       "firmware_on_ns": null, "kernel_after_on_ns": null}],
    "steps_ns": {"down": {"1": {"sched": 7}}, "up": {"2": {"idle": 8}}}})"));
}

TEST(ReportTest, SharesAreOfTheirPhases) {
  const nlohmann::json split =
      ToJson({.shares = {Shares{1}, Shares{2}, Shares{3}, Shares{4}, Shares{5},
                         Shares{6}}},
             {})["split_ns"];
  int64_t expected = 0;
  for (const char* phase :
       {"prepare", "down", "jump", "early", "up", "userspace"}) {
    EXPECT_EQ(split[phase]["firmware"], ++expected) << phase;
  }
}

TEST(ReportTest, WhatWasNotSeenIsNull) {
  Story story(4);
  story.Mark(100, MARK_CODE_UP, 4);
  const auto json = ToJson(story.tracker.boots()[0], Story::Mpidrs(4));
  EXPECT_TRUE(json["phase_ns"]["down"].is_null());
  EXPECT_TRUE(json["split_ns"]["down"].is_null());
  EXPECT_TRUE(json["begin_ns"].is_null());
  EXPECT_TRUE(json["steps_ns"].is_null());
}

TEST(ReportTest, AVerdictSaysWhetherAllAreBack) {
  EXPECT_EQ(Verdict({.cpus = 2, .cpus_back = 2}), "incomplete");
  EXPECT_EQ(Verdict({.cpus = 2, .cpus_back = 2, .came_up = CameUpBy::kMark}),
            "pass");
  EXPECT_EQ(Verdict({.cpus = 2, .cpus_back = 3, .came_up = CameUpBy::kMark}),
            "pass");
  EXPECT_EQ(Verdict({.cpus = 2, .cpus_back = 1, .came_up = CameUpBy::kMark}),
            "cpus-lost");
}

}  // namespace
}  // namespace vmm
