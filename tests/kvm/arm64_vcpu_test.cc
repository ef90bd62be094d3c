// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/arm64_vcpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <iostream>
#include <thread>

#include "tests/kvm/fake_kvm.h"
#include "tests/support/call_filter.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/vm.h"

namespace vmm {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Vm>> Open() {
  return OpenKvm(
      {.vcpus = 2,
       .last_address = GuestAddress(0x7fffffff),
       .gic_distributor = GuestRange::Fixed(0x08000000, 0x10000),
       .gic_cpu = GuestRange::Fixed(0x08010000, 0x10000),
       .gic_redistributors = GuestRange::Fixed(0x080a0000, 0x40000),
       .gic_redistributors_high = GuestRange::Fixed(0x4000000000, 0x20000)});
}

class Arm64VcpuTest : public testing::Test {
 protected:
  Arm64VcpuTest() {
    auto vm = Open();
    EXPECT_TRUE(vm.ok()) << vm.status();
    vm_ = *std::move(vm);
    auto vcpus = vm_->CreateVcpus();
    EXPECT_TRUE(vcpus.ok()) << vcpus.status();
    vcpus_ = *std::move(vcpus);
    kvm_.Forget();
  }

  Vcpu& vcpu() { return *vcpus_[0]; }
  FakeKvm::Vcpu& guest() { return kvm_.vcpus[0]; }
  // What the next KVM_RUN does.
  void Then(FakeKvm::Step step) { kvm_.Then(0, std::move(step)); }
  void ThenFail(int error) {
    Then([error](kvm_run&) { return error; });
  }
  void ThenExit(uint32_t reason, std::function<void(kvm_run&)> fill = {}) {
    Then([reason, fill](kvm_run& run) {
      run.exit_reason = reason;
      if (fill) fill(run);
      return 0;
    });
  }
  template <typename Exit>
  void ExpectRun(const Exit& expected) {
    const absl::StatusOr<VcpuExit> exit = vcpu().Run();
    ASSERT_TRUE(exit.ok()) << exit.status();
    EXPECT_EQ(*exit, VcpuExit(expected)) << exit->index();
  }

  FakeKvm kvm_;
  std::unique_ptr<Vm> vm_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

TEST_F(Arm64VcpuTest, MpidrIsKvms) {
  EXPECT_EQ(vcpus_[0]->mpidr(), 0x80000000u);
  EXPECT_EQ(vcpus_[1]->mpidr(), 0x80000001u);
}

TEST_F(Arm64VcpuTest, AnExitIsDecoded) {
  ThenExit(KVM_EXIT_MMIO, [](kvm_run& run) {
    run.mmio.phys_addr = 0x09000000;
    run.mmio.len = 1;
    run.mmio.is_write = 1;
    run.mmio.data[0] = 'x';
  });
  ExpectRun(MmioWrite{GuestAddress(0x09000000), 1, 'x'});
  ThenExit(KVM_EXIT_HYPERCALL,
           [](kvm_run& run) { run.hypercall.nr = 0xc4000003; });
  ExpectRun(Hypercall{0xc4000003, false});
}

TEST_F(Arm64VcpuTest, AWatchAStepAndTheRestAreToldApart) {
  const auto stop = [this](uint32_t exception_class) {
    ThenExit(KVM_EXIT_DEBUG, [exception_class](kvm_run& run) {
      run.debug.arch.hsr = exception_class << 26 | 0x22;
      run.debug.arch.far = 0xffff000012345678;
    });
  };
  stop(0x34);
  ExpectRun(DebugStop{DebugStop::Kind::kWatchedStore, 0xffff000012345678});
  stop(0x32);
  ExpectRun(DebugStop{DebugStop::Kind::kStepped});
  stop(0x30);
  ExpectRun(DebugStop{DebugStop::Kind::kOther});
}

TEST_F(Arm64VcpuTest, AReadIsAnsweredInThePage) {
  ThenExit(KVM_EXIT_MMIO, [](kvm_run& run) {
    run.mmio.len = 8;
    run.mmio.is_write = 0;
  });
  ExpectRun(MmioRead{GuestAddress(0), 8});
  vcpu().AnswerRead(0x1122334455667788);
  const uint8_t expected[] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
  EXPECT_EQ(std::memcmp(guest().run->mmio.data, expected, 8), 0);
}

TEST_F(Arm64VcpuTest, ErrorsOfKvmRunMeanThreeThings) {
  ThenFail(EINTR);
  ExpectRun(Interrupted{});
  ThenFail(EAGAIN);
  ExpectRun(Interrupted{});
  ThenFail(EFAULT);
  ExpectRun(StoreRefused{});
  for (const int error : {EINVAL, EPERM, ENOEXEC, EIO}) {
    ThenFail(error);
    const absl::Status status = vcpu().Run().status();
    EXPECT_EQ(status.code(), StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr("KVM_RUN"));
  }
  ThenFail(ENOMEM);
  EXPECT_EQ(vcpu().Run().status().code(), StatusCode::kResourceExhausted);
}

TEST_F(Arm64VcpuTest, ANudgeIsHeardOnce) {
  vcpu().Nudge();
  ExpectRun(Interrupted{});
  ThenExit(KVM_EXIT_HYPERCALL);
  ExpectRun(Hypercall{0, false});
}

TEST_F(Arm64VcpuTest, AKickIsHeardForEver) {
  vcpu().Kick();
  ThenExit(KVM_EXIT_HYPERCALL);
  for (int i = 0; i < 3; ++i) ExpectRun(Interrupted{});
  vcpu().Nudge();
  for (int i = 0; i < 2; ++i) ExpectRun(Interrupted{});
}

// The fake's KVM_RUN returns only when a signal comes. That it does though its
// user may have none pending.
TEST_F(Arm64VcpuTest, AVcpuThatRunsIsInterrupted) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_SIGPENDING, &before), 0);
  const rlimit none = {0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_SIGPENDING, &none), 0);
  for (const size_t index : {0u, 1u}) {
    Vcpu& runs = *vcpus_[index];
    kvm_.Then(index, [](kvm_run& run) {
      run.exit_reason = KVM_EXIT_HYPERCALL;
      return 0;
    });
    std::atomic<bool> has_run = false;
    absl::StatusOr<VcpuExit> exit;
    std::thread thread([&] {
      runs.Run().IgnoreError();
      has_run = true;
      exit = runs.Run();
    });
    while (!has_run) std::this_thread::yield();
    index == 0 ? runs.Nudge() : runs.Kick();
    thread.join();
    ASSERT_TRUE(exit.ok()) << exit.status();
    EXPECT_EQ(*exit, VcpuExit(Interrupted{}));
  }
  setrlimit(RLIMIT_SIGPENDING, &before);
}

// The first kick would end the process.
TEST(Arm64VcpuDeathTest, ASignalWithoutAHandlerIsOurFault) {
  const FakeKvm kvm;
  const auto create = [] {
    LackCall(SYS_rt_sigaction, EINVAL);
    std::cerr << (*Open())->CreateVcpus().status();
    _exit(0);
  };
  EXPECT_EXIT(create(), testing::ExitedWithCode(0),
              "^INTERNAL: handling the signal that kicks a vCPU: Invalid "
              "argument");
}

TEST_F(Arm64VcpuTest, ArgumentsAreX1AndOn) {
  for (const uint64_t x : {1u, 2u, 3u}) {
    guest().registers[XRegister(static_cast<unsigned>(x))].value = {
        static_cast<uint8_t>(x), 0, 0, 0, 0, 0, 0, 1};
  }
  std::array<uint64_t, 3> arguments = {};
  ASSERT_TRUE(vcpu().ReadArguments(absl::MakeSpan(arguments)).ok());
  constexpr uint64_t kTop = uint64_t{1} << 56;
  EXPECT_THAT(arguments, ElementsAre(kTop | 1, kTop | 2, kTop | 3));
  kvm_.FailNext(uapi::kGetOneReg, EINVAL);
  EXPECT_EQ(vcpu().ReadArguments(absl::MakeSpan(arguments)).code(),
            StatusCode::kInternal);
}

TEST_F(Arm64VcpuTest, RegistersHaveKvmsNumbers) {
  // Documentation/virt/kvm/api.rst, "arm64 core registers": X0, X30 and PC.
  EXPECT_EQ(XRegister(0), 0x6030000000100000u);
  EXPECT_EQ(XRegister(30), 0x603000000010003cu);
  EXPECT_EQ(kPcRegister, 0x6030000000100040u);
  EXPECT_EQ(kMpidrEl1, 0x603000000013c005u);
  EXPECT_EQ(kVbarEl1, 0x603000000013c600u);
  EXPECT_EQ(kSctlrEl1, 0x603000000013c080u);
  EXPECT_EQ(kTtbr0El1, 0x603000000013c100u);
  EXPECT_EQ(kTtbr1El1, 0x603000000013c101u);
  EXPECT_EQ(kTcrEl1, 0x603000000013c102u);
  EXPECT_EQ(kIdAa64mmfr2El1, 0x603000000013c03au);
  // "ARM 64-bit system registers": op0 3, op1 7, CRn 15, CRm 14, op2 5.
  EXPECT_EQ(SystemRegister(3, 7, 15, 14, 5), 0x603000000013fff5u);
}

TEST(KvmErrorTest, SaysWhatFailedAndWhy) {
  const auto of = [](int error) {
    errno = error;
    return KvmError("opening it");
  };
  EXPECT_EQ(of(EBADF), absl::InternalError("opening it: Bad file descriptor"));
  EXPECT_EQ(of(EINVAL), absl::InternalError("opening it: Invalid argument"));
  EXPECT_EQ(of(ENOMEM),
            absl::ResourceExhaustedError("opening it: Cannot allocate memory"));
  EXPECT_EQ(of(EMFILE),
            absl::ResourceExhaustedError(
                "opening it: Too many open files; raise their limit with "
                "ulimit -n"));
  EXPECT_EQ(of(ENFILE), absl::ResourceExhaustedError(
                            "opening it: Too many open files in system"));
  EXPECT_EQ(of(ENOSPC), absl::ResourceExhaustedError(
                            "opening it: No space left on device"));
}

TEST_F(Arm64VcpuTest, EachRegisterIsReadByItsNumber) {
  struct Each {
    GuestRegister which;
    uint64_t id;
  };
  constexpr Each kEach[] = {{GuestRegister::kPc, kPcRegister},
                            {GuestRegister::kVbarEl1, kVbarEl1},
                            {GuestRegister::kSctlrEl1, kSctlrEl1},
                            {GuestRegister::kTcrEl1, kTcrEl1},
                            {GuestRegister::kTtbr0El1, kTtbr0El1},
                            {GuestRegister::kTtbr1El1, kTtbr1El1}};
  uint8_t value = 10;
  for (const Each& each : kEach) {
    guest().registers[each.id].value[0] = ++value;
    EXPECT_EQ(vcpu().Read(each.which).value(), value);
  }
  guest().registers[XRegister(30)].value[0] = 7;
  EXPECT_EQ(vcpu().ReadX(30).value(), 7u);
  EXPECT_EQ(vcpu().ReadX(29).status().code(), StatusCode::kInternal);
}

TEST_F(Arm64VcpuTest, WritesGoWhereTheySay) {
  ASSERT_TRUE(vcpu().WriteX(1, 0xabc).ok());
  ASSERT_TRUE(vcpu().WritePc(0x40080000).ok());
  EXPECT_THAT(kvm_.writes(),
              ElementsAre("6030000000100002=abc", "6030000000100040=40080000"));
  kvm_.FailNext(uapi::kSetOneReg, EBADF);
  EXPECT_EQ(vcpu().WriteX(1, 0).code(), StatusCode::kInternal);
}

TEST_F(Arm64VcpuTest, AnEntryIsPcAndX0) {
  ASSERT_TRUE(vcpu().SetEntry(GuestAddress(0x40200000), 0xc0ffee).ok());
  EXPECT_EQ(guest().Read(kPcRegister), 0x40200000u);
  EXPECT_EQ(guest().Read(XRegister(0)), 0xc0ffeeu);
  EXPECT_EQ(kvm_.writes().size(), 2u);
  for (const size_t call : {0u, 1u}) {
    kvm_.Forget();
    kvm_.FailCall(call, EINVAL);
    EXPECT_EQ(vcpu().SetEntry(GuestAddress(0), 0).code(),
              StatusCode::kInternal);
  }
}

TEST_F(Arm64VcpuTest, ASuspendedVcpuWaitsInKvm) {
  ASSERT_TRUE(vcpu().Suspend().ok());
  ASSERT_TRUE(vcpu().Resume().ok());
  EXPECT_THAT(guest().mp_states,
              ElementsAre(KVM_MP_STATE_SUSPENDED, KVM_MP_STATE_RUNNABLE));
  kvm_.FailNext(uapi::kSetMpState, EINVAL);
  EXPECT_EQ(vcpu().Suspend().code(), StatusCode::kInternal);
}

TEST_F(Arm64VcpuTest, AnAbortIsAnExternalOne) {
  ASSERT_TRUE(vcpu().InjectDataAbort().ok());
  ASSERT_EQ(guest().events.size(), 1u);
  EXPECT_EQ(guest().events[0].exception.ext_dabt_pending, 1);
  EXPECT_EQ(guest().events[0].exception.serror_pending, 0);
  kvm_.FailNext(uapi::kSetVcpuEvents, EINVAL);
  EXPECT_EQ(vcpu().InjectDataAbort().code(), StatusCode::kInternal);
}

// DBGWCR_EL1: E is bit 0, PAC 2:1, LSC 4:3, BAS 12:5, MASK 28:24.
constexpr uint64_t kStoresOfEl1 = 1 | 0b01 << 1 | 0b10 << 3 | 0xff << 5;

TEST_F(Arm64VcpuTest, AWatchCoversARange) {
  struct Each {
    uint64_t base;
    uint64_t size;
    uint64_t mask;
  };
  constexpr Each kEach[] = {{0x7f000008, 8, 0},
                            {0x7f000010, 16, 4},
                            {0xffff000012340000, 0x10000, 16},
                            {0x80000000, uint64_t{1} << 31, 31}};
  for (const Each& each : kEach) {
    ASSERT_TRUE(
        vcpu()
            .WatchStores(*GuestRange::Make(GuestAddress(each.base), each.size))
            .ok());
    const kvm_guest_debug& debug = guest().debug.back();
    EXPECT_EQ(debug.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW);
    EXPECT_EQ(debug.arch.dbg_wcr[0], kStoresOfEl1 | each.mask << 24);
    EXPECT_EQ(debug.arch.dbg_wvr[0], each.base);
    EXPECT_EQ(debug.arch.dbg_wcr[1], 0u);
    EXPECT_EQ(debug.arch.dbg_bcr[0], 0u);
  }
}

TEST_F(Arm64VcpuTest, AStepHasNoWatchAndTheEndNeither) {
  ASSERT_TRUE(vcpu().WatchStores(GuestRange::Fixed(0, 4096)).ok());
  ASSERT_TRUE(vcpu().Step().ok());
  EXPECT_EQ(guest().debug.back().control,
            KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
  EXPECT_EQ(guest().debug.back().arch.dbg_wcr[0], 0u);
  ASSERT_TRUE(vcpu().EndDebug().ok());
  EXPECT_EQ(guest().debug.back().control, 0u);
  kvm_.FailNext(uapi::kSetGuestDebug, EINVAL);
  EXPECT_EQ(vcpu().Step().code(), StatusCode::kInternal);
}

TEST_F(Arm64VcpuTest, AResetRestoresRegistersAndClearsWhatIsPending) {
  ASSERT_TRUE(vcpu().SetEntry(GuestAddress(0x40200000), 5).ok());
  ASSERT_TRUE(vcpu().Reset().ok());
  EXPECT_EQ(guest().Read(kPcRegister), 0u);
  EXPECT_EQ(guest().Read(XRegister(0)), 0u);
  ASSERT_EQ(guest().events.size(), 1u);
  EXPECT_EQ(guest().events[0].exception.serror_pending, 0);
  EXPECT_EQ(guest().events[0].exception.ext_dabt_pending, 0);
}

// KVM moves PC past the access in the next KVM_RUN, which must be over before
// PC is written.
TEST_F(Arm64VcpuTest, AResetFinishesAnAccessToADevice) {
  ThenExit(KVM_EXIT_MMIO);
  ExpectRun(MmioRead{GuestAddress(0), 0});
  kvm_.Forget();
  ASSERT_TRUE(vcpu().Reset().ok());
  EXPECT_EQ(kvm_.calls()[0], "KVM_RUN");
  EXPECT_EQ(kvm_.calls()[1], "KVM_SET_ONE_REG");
  ThenExit(KVM_EXIT_HYPERCALL);
  ExpectRun(Hypercall{0, false});
  kvm_.Forget();
  ASSERT_TRUE(vcpu().Reset().ok());
  EXPECT_EQ(kvm_.calls()[0], "KVM_SET_ONE_REG");
}

TEST_F(Arm64VcpuTest, AResetHearsNoNudgeAndNoKick) {
  ThenExit(KVM_EXIT_MMIO);
  ExpectRun(MmioRead{GuestAddress(0), 0});
  vcpu().Nudge();
  ASSERT_TRUE(vcpu().Reset().ok());
  ExpectRun(Interrupted{});
  vcpu().Kick();
  ASSERT_TRUE(vcpu().Reset().ok());
  ExpectRun(Interrupted{});
}

TEST_F(Arm64VcpuTest, AnAccessThatIsNotFinishedIsAnError) {
  const auto reset_after = [this](size_t index, int error) {
    kvm_.Then(index, [](kvm_run& run) {
      run.exit_reason = KVM_EXIT_MMIO;
      return 0;
    });
    vcpus_[index]->Run().IgnoreError();
    kvm_.FailNext(uapi::kRun, error);
    return vcpus_[index]->Reset().code();
  };
  EXPECT_EQ(reset_after(0, 0), StatusCode::kInternal);
  EXPECT_EQ(reset_after(1, EFAULT), StatusCode::kInternal);
}

TEST_F(Arm64VcpuTest, ARunPageThatCannotBeMappedIsAnError) {
  const auto vcpu = Arm64Vcpu::Create(UniqueFd(), 8192, nullptr);
  EXPECT_EQ(vcpu.status().code(), StatusCode::kInternal);
  EXPECT_THAT(std::string(vcpu.status().message()), HasSubstr("run page"));
}

}  // namespace
}  // namespace vmm
