// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace vmm {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr auto kRam = GuestRange::Fixed(0x40000000, 8 << 20);
constexpr GuestAddress kKernel(0x40080000);
constexpr auto kDtb = GuestRange::Fixed(0x40200000, 2 << 20);
constexpr GuestAddress kInitrd(0x40400000);

Bytes At(const GuestMemory& memory, GuestAddress address, size_t size) {
  Bytes bytes(size);
  EXPECT_TRUE(memory.Read(address, absl::MakeSpan(bytes)).ok());
  return bytes;
}

class LoaderTest : public testing::Test {
 protected:
  GuestMemory memory_ = GuestMemory::Map(kRam).value();
  const Bytes kernel_ = {1, 2, 3};
  const Bytes dtb_ = {4, 5};
  const Bytes initrd_ = {6, 7, 8, 9};
};

TEST_F(LoaderTest, PutsEverythingInItsPlace) {
  const Placement placement = {kKernel, kDtb, GuestRange::Make(kInitrd, 4)};
  ASSERT_TRUE(
      LoadBoot(placement, {Content(kernel_), dtb_, Content(initrd_)}, memory_)
          .ok());
  EXPECT_EQ(At(memory_, kKernel, 3), kernel_);
  EXPECT_EQ(At(memory_, kDtb.base(), 2), dtb_);
  EXPECT_EQ(At(memory_, kInitrd, 4), initrd_);
}

TEST_F(LoaderTest, WorksWithoutAnInitrd) {
  const Placement placement = {kKernel, kDtb, std::nullopt};
  EXPECT_TRUE(LoadBoot(placement, {Content(kernel_), dtb_, {}}, memory_).ok());
}

TEST_F(LoaderTest, RefusesWhatIsLargerThanItsPlace) {
  const Placement placement = {kKernel, kDtb, GuestRange::Make(kInitrd, 3)};
  EXPECT_EQ(
      LoadBoot(placement, {Content(kernel_), dtb_, Content(initrd_)}, memory_)
          .code(),
      absl::StatusCode::kInvalidArgument);
  const Bytes large(kDtb.size() + 1);
  EXPECT_EQ(LoadBoot(placement, {Content(kernel_), large, {}}, memory_).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(LoaderTest, RefusesAPlaceOutsideRam) {
  const Placement placement = {GuestAddress(0x1000), kDtb, std::nullopt};
  EXPECT_EQ(LoadBoot(placement, {Content(kernel_), dtb_, {}}, memory_).code(),
            absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace vmm
