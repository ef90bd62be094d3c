// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/gic.h"

#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/report.h"

namespace stub {
namespace {

// Of a distributor (GICv2: banked), and of a redistributor's second frame.
enum : uint64_t {
  kControl = 0x000,
  kGroup = 0x080,
  kSetEnable = 0x100,
  kClearEnable = 0x180,
  kSetPending = 0x200,
  kClearPending = 0x280,
  kSetActive = 0x300,
  kClearActive = 0x380,
  kPriority = 0x400,
  kSoftwareInterrupt = 0xf00,  // GICv2.
  kClearSgiPending = 0xf10,    // GICv2; one byte each, sources in it.
  kSetSgiPending = 0xf20,
};
// Of a redistributor's first frame.
constexpr uint64_t kType = 0x008;
constexpr uint64_t kWaker = 0x014;
constexpr uint64_t kTypeLast = 1u << 4;
constexpr uint32_t kWakerProcessorSleep = 1u << 1;
constexpr uint32_t kWakerChildrenAsleep = 1u << 2;
constexpr uint64_t kSgiFrame = 0x10000;
// Of a GICv2 CPU interface.
constexpr uint64_t kCpuControl = board::kGicV2CpuInterface;
constexpr uint64_t kCpuPriorityMask = board::kGicV2CpuInterface + 0x04;
constexpr uint64_t kCpuAcknowledge = board::kGicV2CpuInterface + 0x0c;
constexpr uint64_t kCpuEnd = board::kGicV2CpuInterface + 0x10;
constexpr uint64_t kCpuActivePriorities = board::kGicV2CpuInterface + 0xd0;

constexpr uint32_t kMiddlePriorities = 0x80808080;
constexpr uint32_t kSgis = 16;

bool IsV3() { return ThisMachine().gic_v3; }

uint64_t FindIn(uint64_t region, uint64_t size, uint32_t affinity) {
  for (uint64_t frame = region; frame < region + size;
       frame += board::kRedistributorStride) {
    const uint64_t type = ReadMmio64(frame + kType);
    if (type >> 32 == affinity) return frame;
    if ((type & kTypeLast) != 0) break;
  }
  return 0;
}

// Of this CPU.
uint64_t Redistributor() {
  constexpr uint64_t kLow =
      board::kRedistributorsSize / board::kRedistributorStride;
  const uint64_t mpidr = ThisCpu().mpidr;
  const auto affinity =
      static_cast<uint32_t>((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff));
  // Most likely they are in the order of the CPUs: no search then.
  const uint64_t index = ThisCpu().index;
  uint64_t frame =
      index < kLow
          ? board::kRedistributors + index * board::kRedistributorStride
          : board::kHighRedistributors +
                (index - kLow) * board::kRedistributorStride;
  if (ReadMmio64(frame + kType) >> 32 == affinity) return frame;
  frame = FindIn(board::kRedistributors, board::kRedistributorsSize, affinity);
  if (frame == 0) {
    frame = FindIn(board::kHighRedistributors,
                   board::kMaxCpus * board::kRedistributorStride, affinity);
  }
  EXPECT(frame != 0);
  return frame;
}

// Where this CPU's SGIs and PPIs are.
uint64_t PrivateFrame() {
  return IsV3() ? Redistributor() + kSgiFrame : board::kGicDistributor;
}

// What one write can name: the CPUs in `list`, of one cluster's range of 16.
struct SgiTargets {
  uint64_t cluster;  // As SGI1R has it; 0 with a GICv2.
  uint64_t list;
};

SgiTargets SgiTo(const Cpu& target) {
  if (!IsV3()) return {0, uint64_t{1} << target.index};
  const uint64_t mpidr = target.mpidr;
  const uint64_t affinity0 = mpidr & 0xff;
  return {(mpidr >> 32 & 0xff) << 48 | affinity0 / 16 << 44 |
              (mpidr >> 16 & 0xff) << 32 | (mpidr >> 8 & 0xff) << 16,
          uint64_t{1} << affinity0 % 16};
}

void WriteSgi(uint32_t intid, const SgiTargets& targets) {
  if (!IsV3()) {
    WriteMmio32(board::kGicDistributor + kSoftwareInterrupt,
                static_cast<uint32_t>(targets.list << 16) | intid);
    return;
  }
  WRITE_SYSREG(S3_0_C12_C11_5,  // SGI1R.
               targets.cluster | uint64_t{intid} << 24 | targets.list);
}

void WakeRedistributor() {
  const uint64_t waker = Redistributor() + kWaker;
  WriteMmio32(waker, ReadMmio32(waker) & ~kWakerProcessorSleep);
  while ((ReadMmio32(waker) & kWakerChildrenAsleep) != 0) {
  }
}

}  // namespace

void GicInitDistributor() {
  // GICv3 of one security state: ARE and group 1; GICv2: group 0, as reset.
  WriteMmio32(board::kGicDistributor + kControl, IsV3() ? 0x12 : 0x1);
}

void GicInitCpu() {
  if (IsV3()) WakeRedistributor();
  const uint64_t frame = PrivateFrame();
  WriteMmio32(frame + kClearEnable, 0xffffffff);
  if (IsV3()) WriteMmio32(frame + kGroup, 0xffffffff);
  for (uint64_t i = 0; i < 8; ++i) {
    WriteMmio32(frame + kPriority + 4 * i, kMiddlePriorities);
  }
  if (IsV3()) {
    WRITE_SYSREG(S3_0_C12_C12_5, READ_SYSREG(S3_0_C12_C12_5) | 1);  // SRE.
    WRITE_SYSREG(S3_0_C12_C9_0, 0);    // AP1R0: nothing is being handled.
    WRITE_SYSREG(S3_0_C4_C6_0, 0xff);  // PMR.
    WRITE_SYSREG(S3_0_C12_C12_7, 1);   // IGRPEN1.
  } else {
    WriteMmio32(kCpuActivePriorities, 0);
    WriteMmio32(kCpuPriorityMask, 0xff);
    WriteMmio32(kCpuControl, 1);
  }
}

void GicEnable(uint32_t intid) {
  WriteMmio32(PrivateFrame() + kSetEnable, 1u << intid);
}

void GicDisable(uint32_t intid) {
  WriteMmio32(PrivateFrame() + kClearEnable, 1u << intid);
}

uint32_t GicEnabled() { return ReadMmio32(PrivateFrame() + kSetEnable); }

uint32_t GicPending() { return ReadMmio32(PrivateFrame() + kSetPending); }

uint32_t GicActive() { return ReadMmio32(PrivateFrame() + kSetActive); }

void GicSetPending(uint32_t intid) {
  if (!IsV3() && intid < kSgis) {
    WriteMmio8(board::kGicDistributor + kSetSgiPending + intid,
               static_cast<uint8_t>(1u << ThisCpu().index));
    return;
  }
  WriteMmio32(PrivateFrame() + kSetPending, 1u << intid);
}

void GicClear(uint32_t pending_and_active) {
  const uint64_t frame = PrivateFrame();
  WriteMmio32(frame + kClearPending, pending_and_active);
  WriteMmio32(frame + kClearActive, pending_and_active);
  for (uint32_t intid = 0; !IsV3() && intid < kSgis; ++intid) {
    if ((pending_and_active >> intid & 1) != 0) {
      WriteMmio8(board::kGicDistributor + kClearSgiPending + intid, 0xff);
    }
  }
}

void GicSendSgi(uint32_t intid, const Cpu& target) {
  DataBarrier();
  WriteSgi(intid, SgiTo(target));
}

void GicSendSgiToOthers(uint32_t intid, uint32_t count) {
  DataBarrier();
  SgiTargets pending = {};
  for (uint32_t i = 0; i < count; ++i) {
    const SgiTargets next = SgiTo(OtherCpu(i));
    if (pending.list != 0 && pending.cluster != next.cluster) {
      WriteSgi(intid, pending);
      pending = {};
    }
    pending = {next.cluster, pending.list | next.list};
  }
  if (pending.list != 0) WriteSgi(intid, pending);
}

uint32_t GicAcknowledge() {
  if (!IsV3()) return ReadMmio32(kCpuAcknowledge);
  const auto iar = static_cast<uint32_t>(READ_SYSREG(S3_0_C12_C12_0));
  DataBarrier();
  return iar;
}

void GicEnd(uint32_t acknowledged) {
  if (!IsV3()) {
    WriteMmio32(kCpuEnd, acknowledged);
  } else {
    WRITE_SYSREG(S3_0_C12_C12_1, acknowledged);
  }
}

}  // namespace stub
