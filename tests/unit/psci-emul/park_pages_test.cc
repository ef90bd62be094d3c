// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/park_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "psci-emul/park_abi.h"

namespace psci {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kLoop = 0xf9000401;
constexpr VcpuId kFirst{1};
constexpr VcpuId kSecond{2};
constexpr auto kGoodEntry = std::nullopt;

class ParkPagesTest : public testing::Test {
 protected:
  void Park(VcpuId cpu, size_t page) {
    ASSERT_EQ(pages_.Enter(cpu, page, kLoop),
              (ParkPages::Arrival{.occupies = true}));
    pages_.TurnedOff(cpu);
    ASSERT_EQ(pages_.Announce(cpu), page);
  }
  ParkPages pages_{4, 8};
};

TEST_F(ParkPagesTest, ACpuOccupiesThePageItEnters) {
  EXPECT_EQ(pages_.OccupantOf(3), std::nullopt);
  EXPECT_EQ(pages_.Enter(kFirst, 3, kLoop),
            (ParkPages::Arrival{.occupies = true}));
  EXPECT_EQ(pages_.OccupantOf(3), kFirst);
  EXPECT_EQ(pages_.PageOf(kFirst), 3u);
  EXPECT_EQ(pages_.parked(), 1u);
}

TEST_F(ParkPagesTest, OnlyACpuThatIsOffIsAnnouncedAndOnlyOnce) {
  pages_.Enter(kFirst, 3, kLoop);
  pages_.Enter(kSecond, 4, kLoop);
  EXPECT_THAT(pages_.Unannounced(), IsEmpty());
  pages_.TurnedOff(kSecond);
  EXPECT_THAT(pages_.Unannounced(), ElementsAre(kSecond));
  EXPECT_EQ(pages_.Announce(kSecond), 4u);
  EXPECT_THAT(pages_.Unannounced(), IsEmpty());
  EXPECT_EQ(pages_.Announce(kSecond), std::nullopt);
}

TEST_F(ParkPagesTest, AnExitBeforeTheCpuStaysInThePage) {
  EXPECT_EQ(pages_.OnExit(3, kGoodEntry), ExitOutcome(ExitWaits{}));
  EXPECT_EQ(pages_.OnExit(3, ParkFault::kExitNotRam), ExitOutcome(ExitWaits{}));
}

TEST_F(ParkPagesTest, AnExitReleasesTheOccupant) {
  Park(kFirst, 3);
  EXPECT_EQ(pages_.OnExit(3, kGoodEntry), ExitOutcome(ExitReleases{kFirst}));
  EXPECT_EQ(pages_.Released(3, true), ParkPages::AfterRelease::kVacant);
  EXPECT_EQ(pages_.OccupantOf(3), std::nullopt);
  EXPECT_EQ(pages_.PageOf(kFirst), std::nullopt);
  EXPECT_EQ(pages_.parked(), 0u);
  EXPECT_EQ(pages_.Leave(kFirst), std::nullopt);
}

TEST_F(ParkPagesTest, ABadEntryLeavesTheOccupantParked) {
  Park(kFirst, 3);
  EXPECT_EQ(pages_.OnExit(3, ParkFault::kExitMisaligned),
            ExitOutcome(ExitRefused{ParkFault::kExitMisaligned, kFirst}));
  EXPECT_EQ(pages_.OccupantOf(3), kFirst);
}

TEST_F(ParkPagesTest, ASecondExitOfAVacantPageIsRefused) {
  Park(kFirst, 3);
  pages_.Released(3, true);
  EXPECT_EQ(pages_.OnExit(3, kGoodEntry),
            ExitOutcome(ExitRefused{ParkFault::kDoubleRelease, std::nullopt}));
  // Until the page is used again.
  Park(kFirst, 3);
  EXPECT_EQ(pages_.OnExit(3, kGoodEntry), ExitOutcome(ExitReleases{kFirst}));
}

TEST_F(ParkPagesTest, AnExitOfACpuThatIsNotOffYetWaits) {
  pages_.Enter(kFirst, 3, kLoop);
  EXPECT_EQ(pages_.OnExit(3, kGoodEntry), ExitOutcome(ExitReleases{kFirst}));
  EXPECT_EQ(pages_.Released(3, false), ParkPages::AfterRelease::kWaits);
  EXPECT_EQ(pages_.OccupantOf(3), kFirst);
}

TEST_F(ParkPagesTest, AnExitAfterCpuOnIsTooLate) {
  Park(kFirst, 3);
  EXPECT_EQ(pages_.Released(3, false), ParkPages::AfterRelease::kTooLate);
  EXPECT_EQ(pages_.OccupantOf(3), std::nullopt);
}

TEST_F(ParkPagesTest, ACpuThatCpuOnStartsLeavesItsPageAndItsLoop) {
  Park(kFirst, 3);
  EXPECT_EQ(pages_.Leave(kFirst), (ParkPages::Departure{3, kLoop}));
  EXPECT_EQ(pages_.OccupantOf(3), std::nullopt);
  EXPECT_EQ(pages_.parked(), 0u);
  EXPECT_EQ(pages_.OnExit(3, kGoodEntry),
            ExitOutcome(ExitRefused{ParkFault::kDoubleRelease, std::nullopt}));
}

TEST_F(ParkPagesTest, ACpuThatRunsAgainIsNotAnnounced) {
  pages_.Enter(kFirst, 3, kLoop);
  pages_.TurnedOff(kFirst);
  pages_.Leave(kFirst);
  EXPECT_THAT(pages_.Unannounced(), IsEmpty());
  EXPECT_EQ(pages_.Announce(kFirst), std::nullopt);
}

TEST_F(ParkPagesTest, TheSecondCpuOfAPageHasNone) {
  Park(kFirst, 3);
  EXPECT_EQ(pages_.Enter(kSecond, 3, kLoop),
            (ParkPages::Arrival{.fault = ParkFault::kPageShared,
                                .value = Index(kFirst)}));
  EXPECT_EQ(pages_.PageOf(kSecond), std::nullopt);
  EXPECT_EQ(pages_.OccupantOf(3), kFirst);
  EXPECT_EQ(pages_.parked(), 1u);
  pages_.TurnedOff(kSecond);
  EXPECT_THAT(pages_.Unannounced(), ElementsAre(kSecond));
  EXPECT_EQ(pages_.Announce(kSecond), std::nullopt);
}

TEST_F(ParkPagesTest, ACpuBesideThePagesHasNone) {
  pages_.EnterBeside(kFirst);
  pages_.TurnedOff(kFirst);
  EXPECT_EQ(pages_.Announce(kFirst), std::nullopt);
  EXPECT_EQ(pages_.parked(), 0u);
}

// Also one that was in a page before.
TEST_F(ParkPagesTest, ACpuBesideThePagesIsAnnouncedEachTime) {
  Park(kFirst, 3);
  pages_.Released(3, true);
  pages_.EnterBeside(kFirst);
  EXPECT_THAT(pages_.Unannounced(), IsEmpty());
  pages_.TurnedOff(kFirst);
  EXPECT_THAT(pages_.Unannounced(), ElementsAre(kFirst));
  EXPECT_EQ(pages_.Announce(kFirst), std::nullopt);
  EXPECT_THAT(pages_.Unannounced(), IsEmpty());
}

TEST_F(ParkPagesTest, TheFirstLoopOfARoundIsTheOneToCompareWith) {
  pages_.Enter(kFirst, 3, kLoop);
  EXPECT_EQ(pages_.Enter(kSecond, 4, kLoop + 1),
            (ParkPages::Arrival{.occupies = true,
                                .fault = ParkFault::kForeignLoop,
                                .value = kLoop + 1}));
  pages_.Leave(kFirst);
  pages_.Leave(kSecond);
  EXPECT_EQ(pages_.Enter(kSecond, 4, kLoop + 1),
            (ParkPages::Arrival{.occupies = true}));
}

TEST_F(ParkPagesTest, AnExitThatNobodySawIsCleared) {
  Park(kFirst, 3);
  pages_.Released(3, true);
  const ParkPages::Finding finding = {ParkFault::kDoubleRelease, 0x40080000,
                                      true};
  EXPECT_EQ(pages_.Inspect(3, {.exit = 0x40080000}, false), finding);
  // It can happen again.
  EXPECT_EQ(pages_.Inspect(3, {.exit = 0x40080000}, false), finding);
  EXPECT_EQ(pages_.Inspect(3, {}, true), std::nullopt);
  // Where no CPU has been, it waits for one.
  EXPECT_EQ(pages_.Inspect(4, {.exit = 0x40080000}, false), std::nullopt);
}

TEST_F(ParkPagesTest, AMagicWithoutCpuIsFoundOnce) {
  const ParkPages::Words forged = {.magic = PARK_MAGIC};
  EXPECT_EQ(
      pages_.Inspect(5, forged, false),
      (ParkPages::Finding{ParkFault::kMagicWithoutCpu, PARK_MAGIC, false}));
  EXPECT_FALSE(pages_.IsWorthALook(5));
  EXPECT_EQ(pages_.Inspect(5, forged, false), std::nullopt);
  EXPECT_EQ(pages_.Inspect(6, {.magic = PARK_MAGIC + 1}, false), std::nullopt);
}

TEST_F(ParkPagesTest, AnOccupiedPageIsNotInspected) {
  Park(kFirst, 3);
  EXPECT_FALSE(pages_.IsWorthALook(3));
  EXPECT_EQ(pages_.Inspect(3, {.magic = PARK_MAGIC}, true), std::nullopt);
}

TEST_F(ParkPagesTest, APreparedPageWhoseCpuDoesNotComeIsFoundOnceOverdue) {
  Park(kFirst, 3);
  const ParkPages::Words prepared = {.loop = kLoop};
  EXPECT_EQ(pages_.Inspect(4, prepared, false), std::nullopt);
  EXPECT_EQ(pages_.Inspect(5, {.loop = kLoop + 1}, true), std::nullopt);
  EXPECT_EQ(pages_.Inspect(6, {}, true), std::nullopt);
  EXPECT_EQ(pages_.Inspect(4, prepared, true),
            (ParkPages::Finding{ParkFault::kCpuWithoutMagic, kLoop, false}));
  EXPECT_EQ(pages_.Inspect(4, prepared, true), std::nullopt);
}

TEST_F(ParkPagesTest, APageWhoseCpuHasLeftIsNotOverdue) {
  Park(kFirst, 3);
  Park(kSecond, 4);
  pages_.Released(4, true);
  EXPECT_EQ(pages_.Inspect(4, {.loop = kLoop}, true), std::nullopt);
}

}  // namespace
}  // namespace psci
