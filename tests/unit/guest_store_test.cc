// SPDX-License-Identifier: Apache-2.0
#include "vmm/core/guest_store.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/fake_vcpu.h"

namespace vmm {
namespace {

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x800000;

class GuestStoreTest : public testing::Test {
 protected:
  void Put64(uint64_t address, uint64_t value) {
    uint8_t bytes[8];
    std::memcpy(bytes, &value, 8);
    ASSERT_TRUE(memory_.Write(GuestAddress(address), bytes).ok());
  }
  std::optional<uint64_t> Walk(const Stage1& stage1, uint64_t address) {
    const auto found = Translate(stage1, address, memory_);
    if (!found) return std::nullopt;
    return found->value();
  }
  GuestMemory memory_ =
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize));
};

TEST_F(GuestStoreTest, WithoutMmuTheAddressIsPhysical) {
  EXPECT_EQ(Walk({.sctlr = 0}, 0x1234), 0x1234u);
}

// As Linux: 48 bits, 4 KiB pages, the upper half.
TEST_F(GuestStoreTest, WalksFourLevelsOfFourKiB) {
  const uint64_t address = 0xffff800012345678;
  const Stage1 stage1 = {.sctlr = 1,
                         .tcr = 16 | 16ull << 16 | 2ull << 30,
                         .ttbr1 = 0x7ull << 48 | kRam | 1};
  const auto index = [&](unsigned shift) {
    return (address >> shift & 511) * 8;
  };
  Put64(kRam + index(39), (kRam + 0x1000) | 3);
  Put64(kRam + 0x1000 + index(30), (kRam + 0x2000) | 3);
  Put64(kRam + 0x2000 + index(21), (kRam + 0x3000) | 3);
  Put64(kRam + 0x3000 + index(12), 0x0060000055555703 | 1ull << 54);
  EXPECT_EQ(Walk(stage1, address), 0x55555678u);
  EXPECT_EQ(Walk(stage1, address + 0x1000), std::nullopt);
  EXPECT_EQ(Walk(stage1, address | 0xffull << 56), 0x55555678u);  // A tag.
  EXPECT_EQ(Walk(stage1, address & ~(1ull << 55)), std::nullopt);
}

// As guest-stub: 39 bits, 4 KiB, blocks of 1 GiB, the lower half.
TEST_F(GuestStoreTest, WalksBlocks) {
  const Stage1 stage1 = {
      .sctlr = 1, .tcr = 25 | 1ull << 23, .ttbr0 = kRam + 0x4000};
  Put64(kRam + 0x4000 + 8, 1ull << 30 | 0x701);
  EXPECT_EQ(Walk(stage1, 0x43219870), 0x43219870u);
  EXPECT_EQ(Walk(stage1, 0xffffff8043219870), std::nullopt);  // TTBR1 is off.
}

TEST_F(GuestStoreTest, WalksPagesOf16And64KiB) {
  const Stage1 sixteen = {
      .sctlr = 1, .tcr = 28 | 2ull << 14, .ttbr0 = kRam + 0x8000};
  Put64(kRam + 0x8000, (kRam + 0xc000) | 3);  // 36 bits: levels 2 and 3.
  Put64(kRam + 0xc000 + 8 * 5, 0x5678c000 | 3);
  EXPECT_EQ(Walk(sixteen, 5 * 0x4000 + 0x24), 0x5678c024u);
  const Stage1 sixty_four = {
      .sctlr = 1, .tcr = 22 | 1ull << 14, .ttbr0 = kRam + 0x10000};
  Put64(kRam + 0x10000 + 8, (kRam + 0x20000) | 3);  // 42 bits: the same.
  Put64(kRam + 0x20000 + 8 * 3, 0x56780000 | 3);
  EXPECT_EQ(Walk(sixty_four, (1ull << 29) + 3 * 0x10000 + 0x10), 0x56780010u);
}

TEST_F(GuestStoreTest, TablesOutsideRamLeadNowhere) {
  for (const uint64_t table :
       {uint64_t{0x1000}, uint64_t{0xfffffffff000}, kRam + kSize - 0x1000}) {
    const Stage1 stage1 = {.sctlr = 1, .tcr = 16, .ttbr0 = table};
    EXPECT_EQ(Walk(stage1, 0x7fff'ffff'f000), std::nullopt);
  }
}

TEST_F(GuestStoreTest, EveryTcrHasAnAnswer) {
  for (uint64_t unused = 0; unused < 64; ++unused) {
    for (uint64_t granule = 0; granule < 4; ++granule) {
      const Stage1 stage1 = {
          .sctlr = 1,
          .tcr = unused | unused << 16 | granule << 14 | granule << 30,
          .ttbr0 = kRam,
          .ttbr1 = kRam};
      Walk(stage1, 0);
      Walk(stage1, ~uint64_t{0});
    }
  }
}

TEST(DecodeStoreTest, ReadsWhatCompilersMakeOfAnAssignment) {
  EXPECT_EQ(DecodeStore(0xf9000422),  // str x2, [x1, #8]
            (StoreInstruction{8, 2, 1, 8}));
  EXPECT_EQ(DecodeStore(0xf900001f), (StoreInstruction{8, 31, 0, 0}));  // xzr
  EXPECT_EQ(DecodeStore(0xb9000c83),  // str w3, [x4, #12]
            (StoreInstruction{4, 3, 4, 12}));
  EXPECT_EQ(DecodeStore(0xf81f8041),  // stur x1, [x2, #-8]
            (StoreInstruction{8, 1, 2, -8}));
  EXPECT_EQ(DecodeStore(0xc89ffc41),  // stlr x1, [x2]
            (StoreInstruction{8, 1, 2, 0}));
  EXPECT_EQ(DecodeStore(0xa9000440),  // stp x0, x1, [x2]
            (StoreInstruction{8, 0, 2, 0, 1}));
  EXPECT_EQ(DecodeStore(0xa83f0c82),  // stnp x2, x3, [x4, #-16]
            (StoreInstruction{8, 2, 4, -16, 3}));
  EXPECT_EQ(DecodeStore(0x29010c82),  // stp w2, w3, [x4, #8]
            (StoreInstruction{4, 2, 4, 8, 3}));
}

// An element of an array of pages is written to with a register as its offset.
TEST(DecodeStoreTest, ReadsAnOffsetInARegister) {
  const auto decoded = [](uint32_t instruction, int64_t xm) -> int64_t {
    const auto store = DecodeStore(instruction);
    if (!store || !store->added || store->added->reg != 4) return 0;
    return static_cast<int64_t>(store->added->Of(static_cast<uint64_t>(xm)));
  };
  EXPECT_EQ(decoded(0xf8246860, -16), -16);        // str x0, [x3, x4]
  EXPECT_EQ(decoded(0xf8247860, 0x201), 0x1008);   // ..., lsl #3]
  EXPECT_EQ(decoded(0xf824f860, -2), -16);         // ..., sxtx #3]
  EXPECT_EQ(decoded(0x38244860, -1), 0xffffffff);  // strb ..., w4, uxtw]
  EXPECT_EQ(decoded(0x7824d862, -1), -2);          // strh ..., w4, sxtw #1]
  EXPECT_EQ(decoded(0x7824d862, 0x7fffffff), 0xfffffffe);
  const auto zero = DecodeStore(0xf83f6860);  // str x0, [x3, xzr]
  ASSERT_TRUE(zero && zero->added);
  EXPECT_EQ(zero->added->reg, 31u);
}

TEST(DecodeZeroingTest, ReadsDcZvaAndNothingElse) {
  EXPECT_EQ(DecodeZeroing(0xd50b7428), 8u);            // dc zva, x8
  EXPECT_EQ(DecodeZeroing(0xd50b7a28), std::nullopt);  // dc cvac, x8
  EXPECT_EQ(DecodeZeroing(0xf9000422), std::nullopt);
}

TEST(DecodeStoreTest, LeavesAllElseToBeSteppedOver) {
  for (const uint32_t instruction : {0xa9810440u,  // stp x0, x1, [x2, #16]!
                                     0xa8810440u,  // stp x0, x1, [x2], #16
                                     0xad000440u,  // stp q0, q1, [x2]
                                     0xa9400440u,  // ldp x0, x1, [x2]
                                     0x69000440u,  // stgp x0, x1, [x2]
                                     0xf8008c20u,  // str x0, [x1, #8]!
                                     0xf8008420u,  // str x0, [x1], #8
                                     0x3ca46860u,  // str q0, [x3, x4]
                                     0xf8646860u,  // ldr x0, [x3, x4]
                                     0xf8242860u,  // option 001: unallocated
                                     0x3d800020u,  // str q0, [x1]
                                     0xd50b7420u,  // dc zva, x0
                                     0xc8007c41u,  // stxr w0, x1, [x2]
                                     0xf8200041u,  // ldadd x0, x1, [x2]
                                     0xf90003e0u,  // str x0, [sp]
                                     0xf9400020u,  // ldr x0, [x1]
                                     0x00000000u, 0xffffffffu}) {
    EXPECT_EQ(DecodeStore(instruction), std::nullopt)
        << std::hex << instruction;
  }
}

TEST_F(GuestStoreTest, ReadsAStoreWithTheMmuOff) {
  FakeVcpu vcpu(0);
  const uint32_t code = 0xf9000422;  // str x2, [x1, #8]
  uint8_t bytes[4];
  std::memcpy(bytes, &code, 4);
  ASSERT_TRUE(memory_.Write(GuestAddress(kRam + 0x40), bytes).ok());
  vcpu.pc = kRam + 0x40;
  vcpu.x[1] = kRam + 0x1000;
  vcpu.x[2] = 0x7061726b;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE(store->data.has_value());
  EXPECT_EQ(store->code, GuestAddress(kRam + 0x40));
  EXPECT_EQ(store->data->address, GuestAddress(kRam + 0x1008));
  EXPECT_EQ(store->data->size, 8u);
  EXPECT_EQ(store->data->value, 0x7061726bu);
}

TEST_F(GuestStoreTest, AddsTheRegisterThatIsTheOffset) {
  FakeVcpu vcpu(0);
  const uint32_t code = 0xf8246860;  // str x0, [x3, x4]
  uint8_t bytes[4];
  std::memcpy(bytes, &code, 4);
  ASSERT_TRUE(memory_.Write(GuestAddress(kRam + 0x40), bytes).ok());
  vcpu.pc = kRam + 0x40;
  vcpu.x[3] = kRam + 0x1000;
  vcpu.x[4] = 0x2000;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok() && store->data);
  EXPECT_EQ(store->data->address, GuestAddress(kRam + 0x3000));
  EXPECT_EQ(store->target, GuestAddress(kRam + 0x3000));
}

TEST_F(GuestStoreTest, OfDcZvaItSaysWhereOnly) {
  FakeVcpu vcpu(0);
  const uint32_t code = 0xd50b7428;  // dc zva, x8
  uint8_t bytes[4];
  std::memcpy(bytes, &code, 4);
  ASSERT_TRUE(memory_.Write(GuestAddress(kRam + 0x40), bytes).ok());
  vcpu.pc = kRam + 0x40;
  vcpu.x[8] = kRam + 0x1040;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok());
  EXPECT_FALSE(store->data);
  EXPECT_EQ(store->target, GuestAddress(kRam + 0x1040));
}

// A loop's store into its own page is read without asking for the MMU; one into
// any other page is not.
TEST_F(GuestStoreTest, ALoopIsTakenAtItsWord) {
  FakeVcpu vcpu(0);
  const uint32_t code = 0xf9000422;  // str x2, [x1, #8]
  uint8_t bytes[4];
  std::memcpy(bytes, &code, 4);
  ASSERT_TRUE(memory_.Write(GuestAddress(kRam + 0x2010), bytes).ok());
  vcpu.pc = kRam + 0x2010;
  vcpu.sctlr = 1;  // Without tables: nothing can be translated.
  vcpu.x[2] = 7;
  for (const bool own : {true, false}) {
    vcpu.x[1] = own ? kRam + 0x2000 : kRam + 0x5000;
    const auto store =
        ReadStore(vcpu, StoreRefused{}, memory_,
                  GuestRange::Fixed(kRam + 0x2000, 0x2000), 4096);
    ASSERT_TRUE(store.ok());
    ASSERT_EQ(store->data.has_value(), own);
    if (!own) continue;
    EXPECT_EQ(store->data->address, GuestAddress(kRam + 0x2008));
  }
}

}  // namespace
}  // namespace vmm
