// SPDX-License-Identifier: Apache-2.0
// The real-time clock's interrupt: an alarm for this second rings at once, and
// is quiet once it is cleared.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/report.h"

namespace stub {
namespace {

// PL031 (DDI 0224).
constexpr uint64_t kData = board::kPl031;
constexpr uint64_t kMatch = board::kPl031 + 0x04;
constexpr uint64_t kInterruptMask = board::kPl031 + 0x10;
constexpr uint64_t kMaskedInterrupt = board::kPl031 + 0x18;
constexpr uint64_t kInterruptClear = board::kPl031 + 0x1c;

void RingNow() {
  WriteMmio32(kInterruptMask, 1);
  EXPECT_EQ(ReadMmio32(kMaskedInterrupt), 0);
  // The second may pass between the two.
  do {
    WriteMmio32(kMatch, ReadMmio32(kData));
  } while (ReadMmio32(kMaskedInterrupt) == 0);
  WriteMmio32(kInterruptClear, 1);
  EXPECT_EQ(ReadMmio32(kMaskedInterrupt), 0);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(alarm) { RingNow(); }
