// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/guest_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/support/fake_vcpu.h"

namespace vmm {
namespace {

constexpr uint64_t kRam = 0x40000000;
constexpr uint64_t kSize = 0x800000;

class GuestStoreTest : public testing::Test {
 protected:
  void Put(uint64_t address, uint32_t instruction) {
    uint8_t bytes[4];
    std::memcpy(bytes, &instruction, 4);
    ASSERT_TRUE(memory_.Write(GuestAddress(address), bytes).ok());
  }
  GuestMemory memory_ =
      *GuestMemory::Map(*GuestRange::Make(GuestAddress(kRam), kSize));
};

TEST_F(GuestStoreTest, ReadsAStoreWithTheMmuOff) {
  FakeVcpu vcpu(0);
  const uint32_t code = 0xf9000422;  // str x2, [x1, #8]
  Put(kRam + 0x40, code);
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
  Put(kRam + 0x40, code);
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
  Put(kRam + 0x40, code);
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
  Put(kRam + 0x2010, code);
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

// What crosses a page may go to two places; what is not aligned is not a store
// that a kernel's parking makes.
TEST_F(GuestStoreTest, AStoreThatMayGoToTwoPlacesIsNotTaken) {
  struct Case {
    uint32_t instruction;
    uint64_t address;
    bool taken;
  };
  for (const Case& c : {
           Case{0xf9000040, kRam + 0x1ff8, true},   // str x0, [x2]
           Case{0xf9000040, kRam + 0x1ffc, false},  // It crosses.
           Case{0xf9000040, kRam + 0x1004, false},  // It is not aligned.
           Case{0xb9000040, kRam + 0x1004, true},   // str w0, [x2]
           Case{0xb9000040, kRam + 0x1002, false},
           Case{0xa9000440, kRam + 0x1ff0, true},  // stp x0, x1, [x2]
           Case{0xa9000440, kRam + 0x1ff8, false},
       }) {
    FakeVcpu vcpu(0);
    Put(kRam + 0x40, c.instruction);
    vcpu.pc = kRam + 0x40;
    vcpu.x[2] = c.address;
    const auto store =
        ReadStore(vcpu, StoreRefused{}, memory_,
                  GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(store->code, GuestAddress(kRam + 0x40));
    EXPECT_EQ(store->data.has_value(), c.taken) << std::hex << c.address;
    EXPECT_EQ(store->target.has_value(), c.taken) << std::hex << c.address;
  }
}

TEST_F(GuestStoreTest, APairIsTwoStores) {
  FakeVcpu vcpu(0);
  Put(kRam + 0x40, 0x29010c82);  // stp w2, w3, [x4, #8]
  vcpu.pc = kRam + 0x40;
  vcpu.x[2] = 22;
  vcpu.x[3] = 33;
  vcpu.x[4] = kRam + 0x1000;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok() && store->data && store->second);
  EXPECT_EQ(store->data->address, GuestAddress(kRam + 0x1008));
  EXPECT_EQ(store->data->size, 4u);
  EXPECT_EQ(store->data->value, 22u);
  EXPECT_EQ(store->second->address, GuestAddress(kRam + 0x100c));
  EXPECT_EQ(store->second->size, 4u);
  EXPECT_EQ(store->second->value, 33u);
}

TEST_F(GuestStoreTest, RegisterThirtyOneIsZero) {
  FakeVcpu vcpu(0);
  Put(kRam + 0x40, 0xf900003f);  // str xzr, [x1]
  vcpu.pc = kRam + 0x40;
  vcpu.x[1] = kRam + 0x1000;
  vcpu.x[30] = 7;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok() && store->data);
  EXPECT_EQ(store->data->value, 0u);
}

// A watchpoint names any byte of the access.
TEST_F(GuestStoreTest, ALoopsStoreIsWhereTheWatchpointSays) {
  FakeVcpu vcpu(0);
  Put(kRam + 0x2010, 0xf9000422);  // str x2, [x1, #8]
  vcpu.pc = kRam + 0x2010;
  vcpu.sctlr = 1;
  vcpu.x[2] = 7;
  const auto store =
      ReadStore(vcpu, DebugStop{DebugStop::Kind::kWatchedStore, kRam + 0x200d},
                memory_, GuestRange::Fixed(kRam + 0x2000, 0x2000), 4096);
  ASSERT_TRUE(store.ok() && store->data);
  EXPECT_EQ(store->data->address, GuestAddress(kRam + 0x2008));
  EXPECT_EQ(store->data->value, 7u);
  EXPECT_EQ(store->code, GuestAddress(kRam + 0x2010));
  EXPECT_EQ(store->target, GuestAddress(kRam + 0x2008));
}

// As Linux: code in the upper half, by way of TTBR1; data in either.
class GuestStoreMmuTest : public GuestStoreTest {
 protected:
  static constexpr uint64_t kUpper = 0xffffff8000000000;
  void SetUp() override {
    // One table for both: the second entry is a block of 1 GiB at RAM.
    const uint64_t block = kRam | 0x701;
    uint8_t bytes[8];
    std::memcpy(bytes, &block, 8);
    ASSERT_TRUE(memory_.Write(GuestAddress(kRam + 0x4008), bytes).ok());
    Put(kRam + 0x40, 0xf81f8041);  // stur x1, [x2, #-8]
    vcpu_.sctlr = 1;
    vcpu_.tcr = 25 | 25ull << 16 | 2ull << 30;
    vcpu_.ttbr0 = vcpu_.ttbr1 = kRam + 0x4000;
    vcpu_.pc = kUpper | (kRam + 0x40);
    vcpu_.x[1] = 7;
  }
  absl::StatusOr<GuestStore> Read() {
    return ReadStore(vcpu_, StoreRefused{}, memory_,
                     GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  }
  FakeVcpu vcpu_{0};
};

TEST_F(GuestStoreMmuTest, CodeAndDataAreTranslatedByTheirHalves) {
  constexpr uint64_t kTag = 0xffull << 56;
  for (const uint64_t half : {uint64_t{0}, kUpper, kTag}) {
    vcpu_.x[2] = half | (kRam + 0x1010);
    const auto store = Read();
    ASSERT_TRUE(store.ok() && store->data) << std::hex << half;
    EXPECT_EQ(store->pc, kUpper | (kRam + 0x40));
    EXPECT_EQ(store->code, GuestAddress(kRam + 0x40));
    EXPECT_EQ(store->data->address, GuestAddress(kRam + 0x1008));
    EXPECT_EQ(store->target, GuestAddress(kRam + 0x1008));
    EXPECT_EQ(store->data->value, 7u);
  }
}

TEST_F(GuestStoreMmuTest, DataThatIsNotMappedIsNowhere) {
  vcpu_.x[2] = 0x1010;
  const auto store = Read();
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->code, GuestAddress(kRam + 0x40));
  EXPECT_FALSE(store->data);
  EXPECT_FALSE(store->target);
}

// Each costs an ioctl: the fake fails if one is fetched that is not needed.
TEST_F(GuestStoreMmuTest, OnlyTheRegistersThatAreNeededAreFetched) {
  vcpu_.x[2] = kUpper | (kRam + 0x1010);
  vcpu_.fails = "get ttbr0";
  EXPECT_TRUE(Read().ok());
  vcpu_.sctlr = 0;
  vcpu_.pc = kRam + 0x40;
  vcpu_.x[2] = kRam + 0x1010;
  vcpu_.fails = "get t";  // TCR, and both tables.
  EXPECT_TRUE(Read().ok());
  vcpu_.pc = kRam + 0x2040;  // A loop's own page.
  Put(kRam + 0x2040, 0xf81f8041);
  vcpu_.x[2] = kRam + 0x2010;
  vcpu_.fails = "get sctlr";
  const auto own = Read();
  ASSERT_TRUE(own.ok() && own->data);
  EXPECT_EQ(own->data->address, GuestAddress(kRam + 0x2008));
}

TEST_F(GuestStoreMmuTest, WhatKvmDoesNotTellIsItsError) {
  vcpu_.x[2] = kRam + 0x1010;
  for (const std::string name : {"get pc", "get sctlr", "get tcr", "get ttbr0",
                                 "get ttbr1", "get x1", "get x2"}) {
    vcpu_.fails = name;
    EXPECT_EQ(Read().status().message(), "cannot " + name);
  }
}

TEST_F(GuestStoreTest, CodeOutsideRamIsNotRead) {
  FakeVcpu vcpu(0);
  vcpu.pc = 0x100;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->code, GuestAddress(0x100));
  EXPECT_FALSE(store->data);
  EXPECT_FALSE(store->target);
}

TEST_F(GuestStoreTest, AnInstructionThatStoresNothingKnownHasNoTarget) {
  FakeVcpu vcpu(0);
  Put(kRam + 0x40, 0xad000460);  // stp q0, q1, [x3]
  vcpu.pc = kRam + 0x40;
  vcpu.x[3] = kRam + 0x1000;
  const auto store = ReadStore(vcpu, StoreRefused{}, memory_,
                               GuestRange::Fixed(kRam + 0x2000, 0x1000), 4096);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->code, GuestAddress(kRam + 0x40));
  EXPECT_FALSE(store->data);
  EXPECT_FALSE(store->target);
}

// Two stores, or one that is not aligned, need more than the address.
TEST_F(GuestStoreTest, OfALoopOnlyAPlainStoreIsTakenAtItsWord) {
  FakeVcpu vcpu(0);
  vcpu.pc = kRam + 0x2010;
  vcpu.sctlr = 1;  // Without tables: nothing can be translated.
  struct Case {
    uint32_t instruction;
    uint64_t x1;
    bool taken;
  };
  for (const Case& c : {Case{0xf9000022, kRam + 0x2008, true},  // str x2, [x1]
                        Case{0xf9000022, kRam + 0x2004, false},
                        Case{0xb9000022, kRam + 0x2004, true},  // str w2, [x1]
                        Case{0xf9000022, kRam + 0x3008, false},
                        Case{0xa9000c22, kRam + 0x2008, false},  // stp x2, x3
                        Case{0xad000420, kRam + 0x2000, false}}) {  // q0, q1
    Put(vcpu.pc, c.instruction);
    vcpu.x[1] = c.x1;
    const auto store =
        ReadStore(vcpu, StoreRefused{}, memory_,
                  GuestRange::Fixed(kRam + 0x2000, 0x2000), 4096);
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(store->data.has_value(), c.taken)
        << std::hex << c.instruction << " " << c.x1;
  }
}

}  // namespace
}  // namespace vmm
