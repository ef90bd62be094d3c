// SPDX-License-Identifier: Apache-2.0
#include "vmm/measure/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "nlohmann/json.hpp"
#include "psci-emul/power_state.h"
#include "psci-emul/psci_abi.h"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

using testing::ElementsAre;

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class EventLogTest : public testing::Test {
 protected:
  std::vector<int64_t> Drain(int64_t until) {
    std::vector<int64_t> stamps;
    EXPECT_TRUE(
        log_.Drain(until,
                   [&](const Event& event) { stamps.push_back(event.ns); })
            .ok());
    return stamps;
  }
  const std::string path_ = ScratchPath("events");
  EventLog log_{{0x0, 0x1}};
};

TEST_F(EventLogTest, MergesTheRingsInTheOrderOfTheirStamps) {
  log_.ring(0).Push({.ns = 10});
  log_.ring(0).Push({.ns = 30});
  log_.ring(1).Push({.ns = 20, .vcpu = 1});
  EXPECT_THAT(Drain(INT64_MAX), ElementsAre(10, 20, 30));
}

// One that was stamped first may be pushed last.
TEST_F(EventLogTest, HoldsBackWhatIsTooYoung) {
  log_.ring(0).Push({.ns = 30});
  EXPECT_THAT(Drain(25), ElementsAre());
  log_.ring(1).Push({.ns = 20, .vcpu = 1});
  EXPECT_THAT(Drain(100), ElementsAre(20, 30));
}

TEST_F(EventLogTest, AQuarterFullRingWakesItsReader) {
  pollfd wake = {log_.fd(), POLLIN, 0};
  for (size_t i = 0; i < EventRing::kCapacity / 4; ++i) log_.ring(1).Push({});
  EXPECT_EQ(poll(&wake, 1, 0), 0);
  log_.ring(1).Push({});
  EXPECT_EQ(poll(&wake, 1, 0), 1);
  Drain(INT64_MAX);
  EXPECT_EQ(poll(&wake, 1, 0), 0);
}

TEST_F(EventLogTest, WhoSleepsIsWokenByTheNextEventAndNoOther) {
  pollfd wake = {log_.fd(), POLLIN, 0};
  EXPECT_TRUE(log_.Sleep());
  EXPECT_TRUE(log_.IsAsleep());
  EXPECT_EQ(poll(&wake, 1, 0), 0);
  log_.ring(1).Push({.ns = 1});
  EXPECT_EQ(poll(&wake, 1, 0), 1);
  EXPECT_FALSE(log_.IsAsleep());
  Drain(INT64_MAX);
  log_.ring(1).Push({.ns = 2});
  EXPECT_EQ(poll(&wake, 1, 0), 0);
}

TEST_F(EventLogTest, WhoHasEventsToReadDoesNotSleep) {
  log_.ring(0).Push({.ns = 1});
  EXPECT_FALSE(log_.Sleep());
  EXPECT_THAT(Drain(1), ElementsAre());  // Too young: it is still there.
  EXPECT_FALSE(log_.Sleep());
  EXPECT_THAT(Drain(2), ElementsAre(1));
  EXPECT_TRUE(log_.Sleep());
}

TEST_F(EventLogTest, OthersWakeWhoSleepsToo) {
  pollfd wake = {log_.fd(), POLLIN, 0};
  log_.WakeIfAsleep();
  EXPECT_EQ(poll(&wake, 1, 0), 0);
  log_.Sleep();
  log_.WakeIfAsleep();
  EXPECT_EQ(poll(&wake, 1, 0), 1);
}

TEST_F(EventLogTest, AFullRingLosesAndCounts) {
  for (size_t i = 0; i < EventRing::kCapacity + 5; ++i) log_.ring(0).Push({});
  EXPECT_EQ(log_.lost(), 5u);
  EXPECT_EQ(Drain(INT64_MAX).size(), EventRing::kCapacity);
  log_.ring(0).Push({});
  EXPECT_EQ(Drain(INT64_MAX).size(), 1u);
}

// Else a long run would take half a megabyte for each CPU.
TEST_F(EventLogTest, ARingThatIsDrainedBeginsAnew) {
  const auto faults = [] {
    rusage usage = {};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
  };
  std::vector<Event> drained;  // Keeps its memory.
  const auto pass_through = [&](size_t events) {
    for (size_t i = 0; i < events; ++i) {
      drained.clear();
      log_.ring(0).Push({.ns = 1});
      log_.ring(0).Drain(drained);
      if (drained.size() != 1) return false;
    }
    return true;
  };
  ASSERT_TRUE(pass_through(1));
  const auto before = faults();
  EXPECT_TRUE(pass_through(EventRing::kCapacity));
  constexpr size_t kPages = EventRing::kCapacity * sizeof(Event) / 4096;
  EXPECT_LT(faults() - before, static_cast<long>(kPages / 2));
}

TEST_F(EventLogTest, ARingThatBeganAnewKeepsTheOrder) {
  log_.ring(0).Push({.ns = 1});
  Drain(INT64_MAX);
  for (size_t i = 0; i < EventRing::kCapacity; ++i) {
    log_.ring(0).Push({.ns = static_cast<int64_t>(i)});
  }
  const std::vector<int64_t> drained = Drain(INT64_MAX);
  ASSERT_EQ(drained.size(), EventRing::kCapacity);
  EXPECT_TRUE(std::is_sorted(drained.begin(), drained.end()));
  EXPECT_EQ(drained.back(), static_cast<int64_t>(EventRing::kCapacity - 1));
}

TEST_F(EventLogTest, WhoAsksInALoopDoesNotLoseTheMark) {
  for (size_t i = 0; i < EventRing::kCapacity; ++i) {
    log_.ring(0).Push({.function = PSCI_AFFINITY_INFO_64});
  }
  log_.ring(0).Push({.ns = 1, .kind = Event::Kind::kMark});
  EXPECT_EQ(log_.lost(), EventRing::kCapacity / 2);
  EXPECT_EQ(Drain(INT64_MAX).back(), 1);
}

TEST_F(EventLogTest, EachLineIsAJsonObject) {
  ASSERT_TRUE(log_.WriteTo(path_, false).ok());
  log_.ring(1).Push({.ns = 7,
                     .vcpu = 1,
                     .kind = Event::Kind::kPsci,
                     .arguments = 2,
                     .function = PSCI_AFFINITY_INFO_64,
                     .args = {0x103, 0},
                     .result = -2});
  log_.ring(1).Push({.ns = 9,
                     .vcpu = 1,
                     .kind = Event::Kind::kOff,
                     .arguments = 1,
                     .args = {static_cast<uint64_t>(psci::Door::kPage)},
                     .sampled = true});
  log_.ring(1).Push({.ns = 9,
                     .vcpu = 1,
                     .kind = Event::Kind::kStart,
                     .arguments = 2,
                     .args = {0x40080000, 7},
                     .firmware_ns = 5});
  log_.ring(1).Push({.ns = 9,
                     .vcpu = 1,
                     .kind = Event::Kind::kMark,
                     .arguments = 2,
                     .args = {2, 300}});
  Drain(INT64_MAX);
  std::istringstream lines(Contents(path_));
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line),
            nlohmann::json::parse(
                R"({"ns":7,"vcpu":1,"mpidr":"0x1","event":"psci",
                    "call":"AFFINITY_INFO","function":"0xc4000004",
                    "target":"0x103","level":"0x0","result":-2})"));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line,
            R"({"ns":9,"vcpu":1,"mpidr":"0x1","event":"off","door":"page",)"
            R"("sampled":true})");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, R"({"ns":9,"vcpu":1,"mpidr":"0x1","event":"start",)"
                  R"("entry":"0x40080000","context":"0x7","firmware_ns":5})");
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(line, R"({"ns":9,"vcpu":1,"mpidr":"0x1","event":"mark",)"
                  R"("code":2,"value":300})");
}

TEST_F(EventLogTest, GoesOnAtTheEndOfAFileOrEmptiesIt) {
  for (const bool append : {false, true, false}) {
    ASSERT_TRUE(log_.WriteTo(path_, append).ok());
    log_.ring(0).Push({.ns = 1, .kind = Event::Kind::kOff});
    Drain(INT64_MAX);
    const std::string line = R"({"ns":1,"vcpu":0,"mpidr":"0x0","event":"off"})"
                             "\n";
    EXPECT_EQ(Contents(path_), append ? line + line : line);
  }
}

TEST_F(EventLogTest, AFullDiskIsNamedAndRemembered) {
  ASSERT_TRUE(log_.WriteTo("/dev/full", false).ok());
  log_.ring(0).Push({.ns = 1});
  const auto drain = [this] {
    return log_.Drain(INT64_MAX, [](const auto&) {});
  };
  EXPECT_EQ(drain().message(),
            "cannot write /dev/full: No space left on device");
  EXPECT_FALSE(drain().ok());
}

TEST_F(EventLogTest, AnUnwritableFileIsNamed) {
  const absl::Status status = log_.WriteTo("/nowhere/events", false);
  EXPECT_THAT(status.message(), testing::HasSubstr("/nowhere/events"));
}

TEST_F(EventLogTest, TheObserversRingIsNoVcpus) {
  EXPECT_NE(&log_.observers_ring(), &log_.ring(0));
  EXPECT_NE(&log_.observers_ring(), &log_.ring(1));
  EXPECT_NE(&log_.ring(0), &log_.ring(1));
  log_.observers_ring().Push({.ns = 5});
  EXPECT_THAT(Drain(INT64_MAX), ElementsAre(5));
}

TEST_F(EventLogTest, TheLimitItselfIsTooYoung) {
  log_.ring(0).Push({.ns = 29});
  log_.ring(0).Push({.ns = 30});
  EXPECT_THAT(Drain(30), ElementsAre(29));
  EXPECT_THAT(Drain(31), ElementsAre(30));
}

TEST_F(EventLogTest, AnEventHasNoMoreFieldsThanItsKind) {
  ASSERT_TRUE(log_.WriteTo(path_, false).ok());
  log_.ring(0).Push({.ns = 9,
                     .kind = Event::Kind::kStart,
                     .arguments = 3,
                     .args = {0x40080000, 7, 8}});
  Drain(INT64_MAX);
  EXPECT_EQ(Contents(path_),
            R"({"ns":9,"vcpu":0,"mpidr":"0x0","event":"start",)"
            R"("entry":"0x40080000","context":"0x7"})"
            "\n");
}

TEST(EventLogLimitTest, LinesPastTheLimitAreLostAndCounted) {
  const std::string path = ScratchPath("events");
  EventLog log({0x0}, 3);
  const auto push = [&](int count) {
    for (int i = 0; i < count; ++i) log.ring(0).Push({.ns = i});
    EXPECT_TRUE(log.Drain(INT64_MAX, [](const auto&) {}).ok());
  };
  const auto lines = [&] {
    const std::string text = Contents(path);
    return std::count(text.begin(), text.end(), '\n');
  };
  push(5);  // There is no file yet.
  EXPECT_EQ(log.lost(), 0u);
  ASSERT_TRUE(log.WriteTo(path, false).ok());
  push(2);
  EXPECT_EQ(lines(), 2);
  EXPECT_EQ(log.lost(), 0u);
  push(1);
  EXPECT_EQ(lines(), 3);
  EXPECT_EQ(log.lost(), 0u);
  push(2);
  EXPECT_EQ(lines(), 3);
  EXPECT_EQ(log.lost(), 2u);
  EXPECT_EQ(EventLog::kMaxLines, 4'000'000u);
}

}  // namespace
}  // namespace vmm
