// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/arm64_reset_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/kvm/fake_kvm.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/arm64_registers.h"

namespace vmm {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

constexpr uint64_t kCounter = KVM_REG_ARM_TIMER_CNT;
constexpr uint64_t kPhysicalCounter = KVM_REG_ARM_PTIMER_CNT;
// CNTV_CVAL_EL0, whose number KVM has swapped with that of CNTVCT_EL0
// (api.rst).
constexpr uint64_t kTimerCompare = SystemRegister(3, 3, 14, 0, 2);
constexpr uint64_t kIdRegister = SystemRegister(3, 0, 0, 4, 0);
constexpr uint64_t kClidr = SystemRegister(3, 1, 0, 0, 1);
constexpr uint64_t kCtr = SystemRegister(3, 3, 0, 0, 1);
// Demultiplexed cache geometry and a firmware register, as api.rst has them.
constexpr uint64_t kCacheGeometry = 0x6020000000110000;
constexpr uint64_t kFirmware = 0x6030000000140000;
// V0 of 16 bytes, FPSR of 4, Z0 of 256 (slice 0).
constexpr uint64_t kV0 = 0x6040000000100054;
constexpr uint64_t kFpsr = 0x60200000001000d4;
constexpr uint64_t kZ0 = 0x6080000000150000;

class ResetImageTest : public testing::Test {
 protected:
  // What KVM_ARM_VCPU_INIT sets to 0 is 0, all else is of another byte.
  static uint8_t Initial(uint64_t id) {
    const bool zero =
        id == XRegister(7) || id == kPcRegister || id == kV0 || id == kZ0;
    return zero ? 0 : kThen;
  }
  // Makes a vCPU with these registers alone, each all of one byte.
  int Create(const std::vector<uint64_t>& ids) {
    kvm_.registers.clear();
    for (const uint64_t id : ids) {
      kvm_.registers[id].value.assign(RegisterSize(id), Initial(id));
    }
    const int kvm = kvm_.Open();
    const int vm = RawIoctl(kvm, uapi::kCreateVm, 0);
    const int vcpu = RawIoctl(vm, uapi::kCreateVcpu, kvm_.vcpus.size());
    kvm_vcpu_init init = {};
    init.target = 5;
    EXPECT_EQ(RawIoctl(vcpu, uapi::kArmVcpuInit, &init), 0);
    kvm_.vcpus.back().finalized = true;
    kvm_.vcpus.back().registers.erase(kMpidrEl1);
    close(kvm);
    close(vm);
    fd_ = UniqueFd(vcpu);
    kvm_.Forget();
    return vcpu;
  }
  // Which of them a reset puts back after the guest changed them all.
  std::vector<uint64_t> RestoredOf(const std::vector<uint64_t>& ids) {
    const int vcpu = Create(ids);
    const auto image = ResetImage::Capture(vcpu);
    EXPECT_TRUE(image.ok()) << image.status();
    auto& registers = kvm_.vcpus.back().registers;
    for (auto& [id, reg] : registers) {
      std::fill(reg.value.begin(), reg.value.end(), kNow);
    }
    EXPECT_TRUE(image->Restore(vcpu).ok());
    std::vector<uint64_t> restored;
    for (const auto& [id, reg] : registers) {
      const auto all = [&reg = reg](uint8_t byte) {
        return std::all_of(reg.value.begin(), reg.value.end(),
                           [byte](uint8_t each) { return each == byte; });
      };
      EXPECT_TRUE(all(Initial(id)) || all(kNow)) << "half of it: " << id;
      if (all(Initial(id))) restored.push_back(id);
    }
    return restored;
  }

  static constexpr uint8_t kThen = 0x5a;
  static constexpr uint8_t kNow = 0xc3;
  FakeKvm kvm_;
  UniqueFd fd_;
};

TEST_F(ResetImageTest, WhatTheGuestChangesIsRestoredInFull) {
  EXPECT_THAT(
      RestoredOf({XRegister(7), kPcRegister, kSctlrEl1, kTimerCompare, kV0,
                  kFpsr, kZ0}),
      testing::UnorderedElementsAre(XRegister(7), kPcRegister, kSctlrEl1,
                                    kTimerCompare, kV0, kFpsr, kZ0));
}

TEST_F(ResetImageTest, WhatTheGuestCannotChangeIsLeftAlone) {
  EXPECT_THAT(
      RestoredOf({kMpidrEl1 + 1, kIdRegister, kClidr, kCtr, kCacheGeometry,
                  kFirmware, KVM_REG_ARM64_SVE_VLS, kSctlrEl1}),
      ElementsAre(kSctlrEl1));
}

TEST_F(ResetImageTest, WhatKvmSetsToZeroIsNotAskedFor) {
  const uint64_t pstate = kPcRegister + sizeof(uint64_t) / sizeof(uint32_t);
  constexpr uint64_t kV31 = kV0 + 31 * 4;
  const int vcpu = Create({XRegister(0), XRegister(30), kPcRegister, pstate,
                           kV0, kV31, kFpsr, kZ0});
  ASSERT_TRUE(ResetImage::Capture(vcpu).ok());
  // To see whether it can be written.
  EXPECT_EQ(kvm_.writes().size(), 2u) << "PSTATE and FPSR";
}

// All vCPUs share them: a write would make time jump for those that run.
TEST_F(ResetImageTest, CountersAreLeftAlone) {
  EXPECT_THAT(RestoredOf({kCounter, kPhysicalCounter, kTimerCompare}),
              ElementsAre(kTimerCompare));
  for (const std::string& write : kvm_.writes()) {
    EXPECT_EQ(write.find("603000000013df1a"), std::string::npos);
    EXPECT_EQ(write.find("603000000013df01"), std::string::npos);
  }
}

TEST_F(ResetImageTest, AReadOnlyRegisterIsLeftOut) {
  for (const int error : {EINVAL, EPERM, EBUSY}) {
    const int vcpu = Create({kSctlrEl1, kTcrEl1});
    kvm_.vcpus.back().registers[kSctlrEl1].write_error = error;
    const auto image = ResetImage::Capture(vcpu);
    ASSERT_TRUE(image.ok()) << image.status();
    kvm_.Forget();
    EXPECT_TRUE(image->Restore(vcpu).ok());
    EXPECT_EQ(kvm_.writes().size(), 1u);
  }
}

TEST_F(ResetImageTest, ARegisterIsNotReadOnlyForOneRefusal) {
  const int vcpu = Create({kSctlrEl1});
  kvm_.FailNext(uapi::kSetOneReg, EINVAL);
  const auto image = ResetImage::Capture(vcpu);
  ASSERT_TRUE(image.ok()) << image.status();
  kvm_.Forget();
  EXPECT_TRUE(image->Restore(vcpu).ok());
  EXPECT_EQ(kvm_.writes().size(), 1u);
}

TEST_F(ResetImageTest, AnotherErrorLeavesItUnknownAndIsOne) {
  const int vcpu = Create({kSctlrEl1});
  kvm_.vcpus.back().registers[kSctlrEl1].write_error = ENOENT;
  EXPECT_EQ(ResetImage::Capture(vcpu).status().code(), StatusCode::kInternal);
  EXPECT_EQ(ResetImage::Capture(-1).status().code(), StatusCode::kInternal);
}

TEST_F(ResetImageTest, AnErrorWhileRestoringIsTold) {
  const int vcpu = Create({kSctlrEl1});
  const auto image = ResetImage::Capture(vcpu);
  ASSERT_TRUE(image.ok());
  kvm_.FailNext(uapi::kSetOneReg, EIO);
  EXPECT_EQ(image->Restore(vcpu).code(), StatusCode::kInternal);
  kvm_.FailNext(uapi::kSetVcpuEvents, EIO);
  EXPECT_EQ(image->Restore(vcpu).code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace vmm
