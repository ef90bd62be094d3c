// SPDX-License-Identifier: Apache-2.0
// The window over real mappings. Whether the guest could write somewhere is
// asked of the kernel, which stores a byte there or refuses to.
#include "vmm/park/guarded_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>

#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmm {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

constexpr uint64_t kRam = 0x40000000;

// How often this process maps a park region.
int Mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find("memfd:park") != std::string::npos ? 1 : 0;
  }
  return count;
}

class GuardedWindowTest : public testing::Test {
 protected:
  const uint64_t page_ = GuardedWindow::HostPage();
  GuestMemory memory_ =
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), 64 * page_));

  GuestRange Pages(uint64_t first, uint64_t count) const {
    return *GuestRange::Make(GuestAddress(kRam + first * page_), count * page_);
  }
  // Four pages, the 8th to the 11th of RAM.
  GuardedWindow Made() const {
    auto window = GuardedWindow::Make(memory_, Pages(8, 4));
    EXPECT_TRUE(window.ok()) << window.status();
    return *std::move(window);
  }
  static GuestAddress At(const GuardedWindow& window, uint64_t offset) {
    return GuestAddress(window.range().base().value() + offset);
  }
  uint8_t* HostOf(uint64_t page) const {
    return static_cast<uint8_t*>(memory_.host_base()) + page * page_;
  }
  bool GuestWrites(uint64_t page) const {
    return getrandom(HostOf(page), 1, 0) == 1;
  }
  std::vector<bool> GuestWritesTo(std::vector<uint64_t> pages) const {
    std::vector<bool> writes;
    for (const uint64_t page : pages) writes.push_back(GuestWrites(page));
    return writes;
  }
};

TEST_F(GuardedWindowTest, GuestAndVmmSeeTheSameMemory) {
  HostOf(8)[0] = 0x77;  // What was there before is not.
  HostOf(7)[0] = 0x33;
  HostOf(12)[0] = 0x55;
  GuardedWindow window = Made();
  EXPECT_EQ(window.range(), Pages(8, 4));
  EXPECT_EQ(window.Load(At(window, 0)), 0u);
  HostOf(9)[8] = 0x42;
  EXPECT_EQ(window.Load(At(window, page_ + 8)), 0x42u);
  window.Store(At(window, 3 * page_ + 16), 0x123456789abcdef0);
  EXPECT_EQ(memory_.Load<uint64_t>(At(window, 3 * page_ + 16)),
            0x123456789abcdef0u);
  EXPECT_EQ(HostOf(7)[0], 0x33);
  EXPECT_EQ(HostOf(12)[0], 0x55);
}

TEST_F(GuardedWindowTest, OnlyThePartThatIsClosedKeepsTheGuestOut) {
  GuardedWindow window = Made();
  const std::vector<uint64_t> pages = {7, 8, 9, 10, 11, 12};
  EXPECT_THAT(GuestWritesTo(pages),
              ElementsAre(true, true, true, true, true, true));
  ASSERT_TRUE(window.SetWritable(Pages(9, 2), false).ok());
  EXPECT_THAT(GuestWritesTo(pages),
              ElementsAre(true, true, false, false, true, true));
  ASSERT_TRUE(window.SetWritable(Pages(10, 1), true).ok());
  EXPECT_THAT(GuestWritesTo(pages),
              ElementsAre(true, true, false, true, true, true));
  // The VMM writes all the time, and the guest reads.
  window.Store(At(window, page_ + 8), 0x42);
  EXPECT_EQ(HostOf(9)[8], 0x42);
}

TEST_F(GuardedWindowTest, AStoreWritesAsManyBytesAsItHas) {
  GuardedWindow window = Made();
  const uint64_t value = 0x8877665544332211;
  uint64_t offset = 0;
  for (const unsigned size : {1u, 2u, 4u, 8u}) {
    window.Store(At(window, offset), UINT64_MAX);
    window.Store(At(window, offset), size, value);
    const uint64_t mask = UINT64_MAX >> (64 - 8 * size);
    EXPECT_EQ(window.Load(At(window, offset)), (value & mask) | ~mask) << size;
    EXPECT_EQ(window.Load(At(window, offset + 8)), 0u) << size;
    offset += 16;
  }
  window.Store(At(window, 0x102), 2, value);
  window.Store(At(window, 0x104), 4, value);
  EXPECT_EQ(window.Load(At(window, 0x100)), 0x4433221122110000u);
}

TEST_F(GuardedWindowTest, APageIsTouchedOnceAnybodyHasWrittenToIt) {
  GuardedWindow window = Made();
  EXPECT_THAT(window.Touched(), ElementsAre(false, false, false, false));
  HostOf(9)[100] = 1;
  window.Store(At(window, 3 * page_), 1);
  EXPECT_THAT(window.Touched(), ElementsAre(false, true, false, true));
}

// The guest's mapping belongs to its memory, the VMM's to the window.
TEST_F(GuardedWindowTest, ItsMappingEndsWithItAndOnce) {
  ASSERT_EQ(Mappings(), 0);
  {
    std::optional<GuardedWindow> window = Made();
    EXPECT_EQ(Mappings(), 2);
    const GuardedWindow moved(*std::move(window));
    window.reset();
    EXPECT_EQ(Mappings(), 2);
    EXPECT_EQ(moved.Load(At(moved, 0)), 0u);
  }
  EXPECT_EQ(Mappings(), 1);
}

TEST_F(GuardedWindowTest, WhatIsNotRamIsRefused) {
  EXPECT_EQ(GuardedWindow::Make(memory_, Pages(63, 2)).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST_F(GuardedWindowTest, WhatTheHostCannotMapIsItsErrorAndLeavesNothing) {
  const auto odd = GuestRange::Make(GuestAddress(kRam + 8), page_);
  EXPECT_THAT(
      std::string(GuardedWindow::Make(memory_, *odd).status().message()),
      StartsWith("mapping the park region: "));
  EXPECT_EQ(Mappings(), 0);
}

TEST_F(GuardedWindowTest, WithoutAFileDescriptorThereIsNoWindow) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {0, limit.rlim_max};
  // UBSan opens a pipe to look at what a call of this test's own is made on.
  const auto& memory = memory_;
  const auto pages = Pages(8, 4);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status status = GuardedWindow::Make(memory, pages).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("memory for the park region: "));
}

// A file can be no longer than this.
TEST_F(GuardedWindowTest, WithoutRoomForItsFileThereIsNoWindow) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto was = signal(SIGXFSZ, SIG_IGN);
  const rlimit little = {page_, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
  const absl::Status status =
      GuardedWindow::Make(memory_, Pages(8, 4)).status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  signal(SIGXFSZ, was);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("memory for the park region: "));
  EXPECT_EQ(Mappings(), 0);
}

TEST_F(GuardedWindowTest, WhatTheHostCannotProtectIsItsError) {
  GuardedWindow window = Made();
  const auto odd = GuestRange::Make(GuestAddress(kRam + 8 * page_ + 8), page_);
  EXPECT_THAT(std::string(window.SetWritable(*odd, false).message()),
              StartsWith("protecting the park region: "));
}

}  // namespace
}  // namespace vmm
