// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/stop.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace vmm {
namespace {

using Kind = StopReason::Kind;

bool Readable(const StopLatch& latch) {
  pollfd fd = {latch.fd(), POLLIN, 0};
  return poll(&fd, 1, 0) == 1;
}

TEST(StopLatchTest, TheFirstReasonStands) {
  StopLatch latch;
  EXPECT_FALSE(latch.reason().has_value());
  EXPECT_FALSE(Readable(latch));
  EXPECT_TRUE(latch.Set({.kind = Kind::kStuck, .detail = "why", .vcpu = 3}));
  EXPECT_TRUE(Readable(latch));
  EXPECT_FALSE(latch.Set({.kind = Kind::kTimeout}));
  ASSERT_TRUE(latch.reason().has_value());
  EXPECT_EQ(latch.reason()->kind, Kind::kStuck);
  EXPECT_EQ(latch.reason()->detail, "why");
  EXPECT_EQ(latch.reason()->vcpu, 3u);
  EXPECT_TRUE(Readable(latch));
}

}  // namespace
}  // namespace vmm
