// SPDX-License-Identifier: Apache-2.0
#include "vmm/arch/store_instruction.h"

#include <gtest/gtest.h>

namespace vmm {
namespace {

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
  // An odd register: its number is right above the kind of extension.
  const auto odd = DecodeStore(0x38254860);  // strb w0, [x3, w5, uxtw]
  ASSERT_TRUE(odd && odd->added);
  EXPECT_EQ(odd->added->reg, 5u);
  EXPECT_EQ(odd->added->Of(~uint64_t{0}), 0xffffffffu);
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

// The largest and the smallest offset of each form.
TEST(DecodeStoreTest, OffsetsHaveASignWhereTheFormHasOne) {
  const auto offset = [](uint32_t instruction) {
    const auto store = DecodeStore(instruction);
    return store ? store->offset : INT64_MAX;
  };
  EXPECT_EQ(offset(0xf93ffc20), 4095 * 8);  // str x0, [x1, #32760]
  EXPECT_EQ(offset(0x393ffc20), 4095);      // strb w0, [x1, #4095]
  EXPECT_EQ(offset(0xf80ff020), 255);       // stur x0, [x1, #255]
  EXPECT_EQ(offset(0xf8100020), -256);      // stur x0, [x1, #-256]
  EXPECT_EQ(offset(0xa91f8440), 504);       // stp x0, x1, [x2, #504]
  EXPECT_EQ(offset(0xa9200440), -512);      // stp x0, x1, [x2, #-512]
  EXPECT_EQ(offset(0x291f8440), 252);       // stp w0, w1, [x2, #252]
}

TEST(DecodeStoreTest, KnowsEachSize) {
  const auto size = [](uint32_t instruction) {
    const auto store = DecodeStore(instruction);
    return store ? store->size : 0;
  };
  EXPECT_EQ(size(0x39000020), 1u);  // strb w0, [x1]
  EXPECT_EQ(size(0x79000020), 2u);  // strh w0, [x1]
  EXPECT_EQ(size(0xb9000020), 4u);  // str w0, [x1]
  EXPECT_EQ(size(0xf9000020), 8u);  // str x0, [x1]
}

}  // namespace
}  // namespace vmm
