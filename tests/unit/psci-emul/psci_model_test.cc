// SPDX-License-Identifier: Apache-2.0
// Every interleaving of three CPUs that turn each other on and off, suspend,
// park, release, ask and stop, on a model of psci-emul.
#include "tests/model/psci_model.h"

#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/model/explore.h"

namespace model {
namespace {

std::string TraceOf(const Report& report) {
  std::string text;
  for (size_t i = 0; i < report.trace.size(); ++i) {
    text += "  " + std::to_string(i + 1) + ". " + report.trace[i] + "\n";
  }
  return text;
}

void ExpectAllProperties(unsigned cpus) {
  const PsciModel psci(cpus, Bug::kNone);
  const Report report = Explorer(psci).Run();
  EXPECT_EQ(report.wrong, "") << TraceOf(report);
  std::cout << cpus << " CPUs: " << report.states << " states, "
            << report.transitions << " transitions, " << report.quiescent
            << " of the states at rest; left alone, all come to rest within "
            << report.settles_in << " steps\n";
}

TEST(PsciModelTest, OneCpuKeepsAllProperties) { ExpectAllProperties(1); }
TEST(PsciModelTest, TwoCpusKeepAllProperties) { ExpectAllProperties(2); }
TEST(PsciModelTest, ThreeCpusKeepAllProperties) { ExpectAllProperties(3); }

TEST(PsciModelTest, AStateSurvivesPacking) {
  const PsciModel psci(3, Bug::kNone);
  std::vector<Step> steps;
  Key key = psci.Initial();
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(PsciModel::Pack(PsciModel::Unpack(key)), key);
    steps.clear();
    psci.Steps(key, steps);
    if (steps.empty()) break;
    key = steps[steps.size() * 7 / 11].to;
  }
}

// A checker that finds nothing may be blind. Each of these is a mistake that
// others made, or nearly: it has to be found, with a shortest way to it.
//
// CountingDownAfterOff is the mildest: it breaks the bound of the count and no
// answer (who is told that all are off is still right), so only that finds it.
struct Seeded {
  Bug bug;
  const char* name;
  const char* wrong;
};

class SeededBugTest : public testing::TestWithParam<Seeded> {};

TEST_P(SeededBugTest, IsFound) {
  const PsciModel psci(3, GetParam().bug);
  const Report report = Explorer(psci).Run();
  EXPECT_EQ(report.wrong, GetParam().wrong);
  std::cout << GetParam().name << ": \"" << report.wrong << "\" in "
            << report.trace.size() << " steps (" << report.states
            << " states)\n"
            << TraceOf(report);
}

INSTANTIATE_TEST_SUITE_P(
    , SeededBugTest,
    testing::Values(Seeded{Bug::kCheckThenStore, "CheckingOutsideTheLock",
                           "two winners: two SUCCESS for one start"},
                    Seeded{Bug::kNotifyBeforePublish, "WakingBeforePublishing",
                           "lost wake-up: sleeps through a start"},
                    Seeded{Bug::kShutdownForgetsNotify, "StoppingWithoutWaking",
                           "lost wake-up: sleeps through a stop"},
                    Seeded{Bug::kStopCheckedOnlyOnce, "LookingForAStopOnlyOnce",
                           "lost wake-up: sleeps through a stop"},
                    Seeded{Bug::kUncountAfterOff, "CountingDownAfterOff",
                           "not_off_ counts more CPUs than there are"},
                    Seeded{Bug::kCountAfterPublish, "CountingUpAfterPublishing",
                           "told that all CPUs are off while one is not"},
                    Seeded{Bug::kWriteBeforeClaim, "WritingBeforeWinning",
                           "two threads at one context: a data race"},
                    Seeded{Bug::kReleaseIgnoresTheDoor, "ReleasingAnybody",
                           "a release of a CPU that left by CPU_OFF"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace model
