// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/vcpu_exit.h"

#include <gtest/gtest.h>

#include <cstring>

// A test of the seam's inner side: it makes run pages as KVM would.
#include "vmm/kvm/uapi.h"

namespace vmm {
namespace {

kvm_run Page(uint32_t reason) {
  kvm_run run = {};
  run.exit_reason = reason;
  return run;
}

template <typename Exit>
void ExpectExit(const kvm_run& run, const Exit& expected) {
  const VcpuExit exit = DecodeExit(run);
  ASSERT_TRUE(std::holds_alternative<Exit>(exit)) << exit.index();
  EXPECT_EQ(std::get<Exit>(exit), expected);
}

TEST(VcpuExitTest, MmioWriteCarriesItsBytesLittleEndian) {
  kvm_run run = Page(KVM_EXIT_MMIO);
  run.mmio.phys_addr = 0x09000000;
  run.mmio.is_write = 1;
  run.mmio.len = 4;
  const uint8_t bytes[8] = {0x78, 0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 0xff};
  std::memcpy(run.mmio.data, bytes, sizeof(bytes));
  ExpectExit(run, MmioWrite{GuestAddress(0x09000000), 4, 0x12345678});
}

TEST(VcpuExitTest, MmioReadSaysWhereAndHowMuch) {
  kvm_run run = Page(KVM_EXIT_MMIO);
  run.mmio.phys_addr = 0x0c000008;
  run.mmio.len = 8;
  ExpectExit(run, MmioRead{GuestAddress(0x0c000008), 8});
}

TEST(VcpuExitTest, AnImpossibleMmioLengthIsCutToARegister) {
  kvm_run run = Page(KVM_EXIT_MMIO);
  run.mmio.len = 4096;
  ExpectExit(run, MmioRead{GuestAddress(0), 8});
}

TEST(VcpuExitTest, HypercallTellsHvcFromSmc) {
  kvm_run run = Page(KVM_EXIT_HYPERCALL);
  run.hypercall.nr = 0x84000000;
  ExpectExit(run, Hypercall{0x84000000, false});
  run.hypercall.longmode = uapi::kHypercallExitSmc;
  ExpectExit(run, Hypercall{0x84000000, true});
}

TEST(VcpuExitTest, ASignalInterrupts) {
  ExpectExit(Page(KVM_EXIT_INTR), Interrupted{});
}

TEST(VcpuExitTest, SystemEventsTellResetFromReset2) {
  using Kind = SystemEvent::Kind;
  kvm_run run = Page(KVM_EXIT_SYSTEM_EVENT);
  run.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
  ExpectExit(run, SystemEvent{Kind::kShutdown});
  run.system_event.type = KVM_SYSTEM_EVENT_RESET;
  ExpectExit(run, SystemEvent{Kind::kReset});
  run.system_event.ndata = 1;
  run.system_event.data[0] = 1;
  ExpectExit(run, SystemEvent{Kind::kReset2});
  run.system_event.type = KVM_SYSTEM_EVENT_CRASH;
  ExpectExit(run, SystemEvent{Kind::kCrash});
  run.system_event.type = KVM_SYSTEM_EVENT_SUSPEND;
  ExpectExit(run, SystemEvent{Kind::kSuspend});
  run.system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
  ExpectExit(run, Wakeup{});
  run.system_event.type = 99;
  ExpectExit(run, Unhandled{KVM_EXIT_SYSTEM_EVENT});
}

TEST(VcpuExitTest, AnAccessWithoutSyndromeIsNamed) {
  kvm_run run = Page(KVM_EXIT_ARM_NISV);
  run.arm_nisv.fault_ipa = 0x0c001000;
  ExpectExit(run, NoSyndrome{GuestAddress(0x0c001000)});
}

TEST(VcpuExitTest, FailuresCarryTheirReason) {
  kvm_run run = Page(KVM_EXIT_FAIL_ENTRY);
  run.fail_entry.hardware_entry_failure_reason = 7;
  ExpectExit(run, EntryFailed{7});
  run = Page(KVM_EXIT_INTERNAL_ERROR);
  run.internal.suberror = 3;
  ExpectExit(run, EntryFailed{3});
}

TEST(VcpuExitTest, AReasonNobodyKnowsIsKept) {
  ExpectExit(Page(1000), Unhandled{1000});
}

}  // namespace
}  // namespace vmm
