// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/diagnosis_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vmm {
namespace {

using psci::ParkFault;
using testing::IsEmpty;

TEST(DiagnosisLogTest, OfEachKindTheFirstIsTold) {
  DiagnosisLog log;
  testing::internal::CaptureStderr();
  log.Note(ParkFault::kExitMisaligned, 3, 0x40801000, 0x40080002);
  log.Note(ParkFault::kExitMisaligned, 4, 0x40802000, 0x40080006);
  log.Note(ParkFault::kPageShared, 5, 0x40803000, 7);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "vmm: warning: exit is not a multiple of 4; the CPU stays parked "
            "(vCPU 3, page 0x40801000, value 0x40080002) [exit-misaligned]\n"
            "vmm: warning: two CPUs parked in one page; the second can be "
            "started by CPU_ON only (vCPU 5, page 0x40803000, value 0x7) "
            "[page-shared]\n");
}

TEST(DiagnosisLogTest, AllAreCountedInTheOrderOfTheirKinds) {
  DiagnosisLog log;
  EXPECT_THAT(log.All(), IsEmpty());
  log.Note(ParkFault::kReleaseOfNotParked, 1, 0x10, 0x11);  // The last kind.
  log.Note(ParkFault::kReleaseBeforePark, 2, 0x20, 0x21);   // The first.
  for (uint32_t vcpu = 3; vcpu < 6; ++vcpu) {
    log.Note(ParkFault::kReleaseBeforePark, vcpu, 0x30, 0x31);
  }
  const auto all = log.All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].fault, ParkFault::kReleaseBeforePark);
  EXPECT_EQ(all[0].count, 4u);
  EXPECT_EQ(all[0].vcpu, 2u);
  EXPECT_EQ(all[0].place, 0x20u);
  EXPECT_EQ(all[0].value, 0x21u);
  EXPECT_EQ(all[1].fault, ParkFault::kReleaseOfNotParked);
  EXPECT_EQ(all[1].count, 1u);
}

}  // namespace
}  // namespace vmm
