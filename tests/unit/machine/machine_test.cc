// SPDX-License-Identifier: Apache-2.0
// The whole machine on fake vCPUs: boot, CPU_ON, CPU_OFF, stops.
#include "vmm/machine/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "psci-emul/park_abi.h"
#include "psci-emul/psci_abi.h"
#include "tests/support/fake_vm.h"
#include "tests/support/toy_device.h"
#include "tests/support/tree_view.h"
#include "vmm/base/sha256.h"
#include "vmm/boot/memory_map.h"
#include "vmm/devices/mark_abi.h"

namespace vmm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::StartsWith;
using Kind = StopReason::Kind;

constexpr uint64_t kEntry = 0x40100000;
constexpr int kDeadlineMs = 10'000;

class MachineTest : public testing::Test {
 protected:
  MachineSpec Spec(uint32_t vcpus) {
    return {
        .kernel = *ParseRaw("stub", Content(std::vector<uint8_t>(64, 0x42))),
        .memory_bytes = uint64_t{64} << 20,
        .vcpus = vcpus,
        .seed = 1};
  }
  void Create(uint32_t vcpus) { Create(Spec(vcpus)); }
  void Create(const MachineSpec& machine_spec) {
    auto plan = Plan(machine_spec);
    ASSERT_TRUE(plan.ok()) << plan.status();
    Create(machine_spec, *std::move(plan));
  }
  void Create(const MachineSpec& machine_spec, MachinePlan plan) {
    TryToCreate(machine_spec, std::move(plan));
    ASSERT_TRUE(status_.ok()) << status_;
  }
  void TryToCreate(const MachineSpec& machine_spec, MachinePlan plan) {
    machine_.reset();
    auto machine = Machine::Create(
        machine_spec, std::move(plan), [this](const VmSpec& spec) {
          auto vm = std::make_unique<FakeVm>(spec, affinity_);
          vm_ = vm.get();
          if (on_open_) on_open_(*vm);
          return vm;
        });
    status_ = machine.status();
    if (machine.ok()) machine_ = *std::move(machine);
  }
  // Does not make the machine that is asked for.
  void FailsToCreate(const MachineSpec& machine_spec, MachinePlan plan) {
    TryToCreate(machine_spec, std::move(plan));
    EXPECT_FALSE(status_.ok());
    EXPECT_EQ(machine_, nullptr);
  }
  FakeVcpu& Vcpu(uint32_t i) { return *vm_->vcpus[i]; }
  void Calls(uint32_t i, uint32_t function,
             std::array<uint64_t, 3> x1_to_x3 = {}) {
    Vcpu(i).Then(Hypercall{function, false}, x1_to_x3);
  }
  // Runs the scripts to the machine's end.
  StopReason Run() {
    machine_->Start();
    pollfd stop = {machine_->stop_fd(), POLLIN, 0};
    if (poll(&stop, 1, kDeadlineMs) != 1) {
      ADD_FAILURE() << "no stop within the deadline";
      machine_->RequestStop({.kind = Kind::kTimeout});
    }
    machine_->Join();
    return *machine_->stop_reason();
  }
  // Runs the scripts until this CPU's registers are reset.
  void RunUntilReset(uint32_t i) {
    machine_->Start();
    pollfd never = {machine_->stop_fd(), POLLIN, 0};
    while (Vcpu(i).calls().empty() || Vcpu(i).calls().back() != "reset") {
      ASSERT_EQ(poll(&never, 1, 0), 0);
    }
    machine_->RequestStop({.kind = Kind::kInterrupt});
    machine_->Join();
  }
  std::vector<Event> Events() {
    std::vector<Event> events;
    EXPECT_TRUE(machine_->events()
                    .Drain(INT64_MAX,
                           [&](const Event& event) { events.push_back(event); })
                    .ok());
    return events;
  }

  uint64_t affinity_ = 0;  // A part of each MPIDR.
  std::function<void(FakeVm&)> on_open_;
  FakeVm* vm_ = nullptr;
  absl::Status status_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(MachineTest, TheBootCpuEntersTheKernelWithTheDeviceTree) {
  Create(1);
  Calls(0, PSCI_SYSTEM_OFF);
  EXPECT_EQ(Run().kind, Kind::kPowerOff);
  EXPECT_EQ(vm_->ram[0x80000], 0x42);  // ParseRaw's place.
  EXPECT_THAT(Vcpu(0).calls(),
              ElementsAre(StartsWith("enter 0x40080000 "), "run"));
}

TEST_F(MachineTest, DigestsAreOfWhatLiesInRam) {
  MachineSpec spec = Spec(1);
  Create(spec);
  GuestDigests digests = machine_->Digests().value();
  EXPECT_EQ(digests.kernel, Sha256(spec.kernel.content).value());
  EXPECT_EQ(digests.initrd, std::nullopt);
  EXPECT_EQ(digests.dtb, Sha256(machine_->dtb()));
  EXPECT_EQ(digests.kernel_release, std::nullopt);
  constexpr absl::string_view kBanner = "Linux version 6.18.0-rc1 (me@here)";
  spec.kernel = *ParseRaw(
      "stub", Content(std::vector<uint8_t>(kBanner.begin(), kBanner.end())));
  spec.initrd = Content(std::vector<uint8_t>{1, 2, 3});
  Create(spec);
  digests = machine_->Digests().value();
  EXPECT_EQ(digests.initrd, Sha256(spec.initrd).value());
  EXPECT_EQ(digests.kernel_release, "6.18.0-rc1");
}

// kvmtool enters KVM_RUN with stopped vCPUs and pays for it at each CPU_ON.
TEST_F(MachineTest, SecondariesStayOutOfTheGuestUntilCpuOn) {
  Create(2);
  Calls(0, PSCI_SYSTEM_OFF);
  Run();
  EXPECT_TRUE(Vcpu(1).calls().empty());
}

TEST_F(MachineTest, CpuOnEntersWithEntryAndContext) {
  Create(2);
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 42});
  Calls(1, PSCI_SYSTEM_OFF);
  EXPECT_EQ(Run().vcpu, 1u);
  EXPECT_THAT(Vcpu(1).calls(), ElementsAre("enter 0x40100000 42", "run"));
}

// Parked with its reset registers in place: CPU_ON is not the one to pay.
TEST_F(MachineTest, CpuOffResetsBeforeTheNextCpuOn) {
  Create(2);
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 1});
  Calls(1, PSCI_CPU_ON_64, {0, kEntry, 0});  // Just something to wait for.
  Calls(1, PSCI_CPU_OFF);
  RunUntilReset(1);
  EXPECT_EQ(machine_->PostMortem()[0].state, psci::PowerState::kOn);
  EXPECT_EQ(machine_->PostMortem()[0].pc, 0xfeedu);
  EXPECT_EQ(machine_->PostMortem()[1].state, psci::PowerState::kOff);
}

// The last of many that leave would wait for the registers of the first. When a
// CPU left is known between two events of its own, so a busy machine can hide
// that one was reset too early, and never make it seem so.
TEST_F(MachineTest, NoCpuIsResetWhileOthersLeave) {
  constexpr int64_t kSettle = 5'000'000;     // As in vcpu_thread.cc.
  constexpr int64_t kPatience = 50'000'000;  // It waits 100 ms at most.
  Create(3);
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 1});
  Calls(1, PSCI_CPU_OFF);
  for (int i = 0; i < 150; ++i) {
    Calls(0, PSCI_CPU_ON_64, {2, kEntry, 2});
    Calls(2, PSCI_CPU_OFF);
  }
  Vcpu(0).on_run = [] {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::microseconds(200);
    while (std::chrono::steady_clock::now() < end) {
    }
  };
  int64_t reset = 0;
  Vcpu(1).on_reset = [&] {
    if (reset == 0) reset = machine_->Now();
  };
  RunUntilReset(1);
  // Each leaves after its start, and before its off is an event.
  int64_t begin = 0, started_before = 0, started = 0, longest = 0;
  for (const Event& event : Events()) {
    if (event.vcpu == 0 || event.ns > reset) continue;
    if (event.kind == Event::Kind::kStart) {
      if (event.vcpu == 1) begin = event.ns;
      started_before = std::max(begin, started);
      started = event.ns;
    } else if (event.kind == Event::Kind::kOff) {
      longest = std::max(longest, event.ns - started_before);
    }
  }
  longest = std::max(longest, reset - started_before);
  EXPECT_TRUE(longest >= kSettle || reset - begin >= kPatience) << longest;
}

TEST_F(MachineTest, EveryOffAndStartIsAnEventWithItsCpu) {
  Create(2);
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 1});
  Calls(1, PSCI_CPU_OFF);
  Calls(0, PSCI_CPU_OFF);
  EXPECT_EQ(Run().kind, Kind::kAllOff);
  int parked = 0;
  for (const Event& event : Events()) parked += event.kind == Event::Kind::kOff;
  EXPECT_EQ(parked, 2);
}

TEST_F(MachineTest, WhenTheLastCpuLeavesTheMachineStops) {
  Create(4);
  Calls(0, PSCI_CPU_OFF);
  EXPECT_EQ(Run().kind, Kind::kAllOff);
}

// SYSTEM_OFF with other CPUs running returns to none of them.
TEST_F(MachineTest, AStopReachesCpusThatRunAndCpusThatAreParked) {
  Create(20);
  for (uint64_t i = 1; i < 10; ++i) {
    Calls(0, PSCI_CPU_ON_64, {i, kEntry, i});
  }
  Calls(0, PSCI_SYSTEM_OFF);
  EXPECT_EQ(Run().kind, Kind::kPowerOff);
  for (uint32_t i = 1; i < 10; ++i) {
    EXPECT_LE(Vcpu(i).calls().size(), 2u);  // At most entered, and run once.
  }
}

TEST_F(MachineTest, CpusAreReachedByKvmsAffinity) {
  Create(20);
  EXPECT_EQ(machine_->mpidrs()[19], 0x103u);
  Calls(0, PSCI_CPU_ON_64, {0x103, kEntry, 5});
  Calls(19, PSCI_SYSTEM_OFF);
  EXPECT_EQ(Run().vcpu, 19u);
}

TEST_F(MachineTest, AVerdictEndsTheRun) {
  Create(1);
  Vcpu(0).Then(
      MmioWrite{GuestAddress(kMarkDevice.base().value() + MARK_REG_VERDICT), 8,
                3 | 77 << MARK_VALUE_SHIFT});
  const StopReason reason = Run();
  EXPECT_EQ(reason.kind, Kind::kVerdict);
  EXPECT_EQ(reason.code, 3u);
  EXPECT_EQ(reason.value, 77u);
}

TEST_F(MachineTest, ConsoleOutputComesOut) {
  Create(1);
  for (const char c : std::string("hello\n")) {
    Vcpu(0).Then(MmioWrite{kPl011.base(), 4, static_cast<uint8_t>(c)});
  }
  Calls(0, PSCI_SYSTEM_OFF);
  Run();
  EXPECT_EQ(machine_->console().Take(), "hello\n");
}

TEST_F(MachineTest, TheFirstStopReasonStands) {
  Create(1);
  machine_->RequestStop({.kind = Kind::kInterrupt});
  machine_->RequestStop({.kind = Kind::kTimeout});
  EXPECT_EQ(Run().kind, Kind::kInterrupt);
}

TEST_F(MachineTest, TheSameSeedMakesTheSameDeviceTree) {
  Create(2);
  const auto first = machine_->dtb();
  Create(2);
  EXPECT_EQ(machine_->dtb(), first);
}

TEST_F(MachineTest, DestructionWithoutAStopLeavesNoThread) {
  Create(4);
  machine_->Start();
}

// A guest that stops the machine while it is being destroyed stops all of it.
TEST_F(MachineTest, DestructionMayMeetTheGuestsOwnStop) {
  for (int round = 0; round < 50; ++round) {
    Create(4);
    for (uint64_t i = 1; i < 4; ++i) {
      Calls(0, PSCI_CPU_ON_64, {i, kEntry, i});
      Calls(static_cast<uint32_t>(i), PSCI_SYSTEM_OFF);
    }
    machine_->Start();
    machine_.reset();
  }
}

TEST_F(MachineTest, E5TheParkPagesAreNoMapUnlessAskedOtherwise) {
  for (const bool no_map : {true, false}) {
    MachineSpec spec = Spec(2);
    spec.park = ParkMode::kHost;
    spec.park_no_map = no_map;
    auto plan = Plan(spec);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const std::string node = absl::StrFormat("/reserved-memory/park@%x",
                                             plan->park->window.base().value());
    Create(spec, *std::move(plan));
    const TreeView tree(machine_->dtb());
    EXPECT_TRUE(tree.Has(node));
    EXPECT_EQ(tree.Has(node, "no-map"), no_map);
  }
}

TEST_F(MachineTest, VmAndTreeHaveTheRedistributorsOfThePlan) {
  for (const uint32_t vcpus : {123u, 124u}) {
    Create(vcpus);
    const bool high = vcpus > 123;
    EXPECT_EQ(vm_->spec().last_address, high ? kGicV3HighRedistributors.last()
                                             : GuestAddress(0x43ffffff));
    EXPECT_THAT(TreeView(machine_->dtb())
                    .Cells("/intc@8000000", "#redistributor-regions"),
                ElementsAre(high ? 2 : 1));
    EXPECT_EQ(vm_->spec().gic_redistributors, kGicV3Redistributors);
    EXPECT_EQ(vm_->spec().gic_redistributors_high, kGicV3HighRedistributors);
  }
}

TEST_F(MachineTest, AllOfAnAffinityIsKept) {
  affinity_ = 0x2500000000;
  Create(2);
  EXPECT_THAT(machine_->mpidrs(), ElementsAre(0x2500000000, 0x2500000001));
  Calls(0, PSCI_CPU_ON_64, {0x2500000001, kEntry, 5});
  Calls(1, PSCI_SYSTEM_OFF);
  EXPECT_EQ(Run().vcpu, 1u);
}

TEST_F(MachineTest, WhatKvmRefusesKeepsItFromBeingMade) {
  const MachineSpec spec = Spec(2);
  on_open_ = [](FakeVm& vm) { vm.add_ram = absl::InternalError("no RAM"); };
  FailsToCreate(spec, *Plan(spec));
  EXPECT_EQ(status_.message(), "no RAM");
  on_open_ = [](FakeVm& vm) {
    vm.create_vcpus = absl::InternalError("no vCPU");
  };
  FailsToCreate(spec, *Plan(spec));
  EXPECT_EQ(status_.message(), "no vCPU");
}

TEST_F(MachineTest, DevicesInOnePlaceKeepItFromBeingMade) {
  const MachineSpec spec = Spec(1);
  MachinePlan plan = *Plan(spec);
  plan.devices[1].registers = plan.devices[0].registers;
  FailsToCreate(spec, std::move(plan));
}

TEST_F(MachineTest, ADeviceTreeOutsideRamKeepsItFromBeingMade) {
  const MachineSpec spec = Spec(1);
  MachinePlan plan = *Plan(spec);
  plan.boot.dtb =
      *GuestRange::Make(GuestAddress(plan.ram.last().value() - 8), 4096);
  FailsToCreate(spec, std::move(plan));
}

TEST_F(MachineTest, AnInterruptThatKvmRefusesEndsTheMachine) {
  const MachineSpec spec = Spec(1);
  std::vector<DeviceEntry> devices = DevicesOf(spec);
  devices.push_back({.needs = ToyDevice::kNeeds, .make = MakeToyDevice});
  on_open_ = [](FakeVm& vm) { vm.set_spi = absl::InternalError("no line"); };
  Create(spec, *Plan(spec, devices));
  Vcpu(0).Then(MmioWrite{GuestAddress(0x0c300010), 4, 1});
  const StopReason reason = Run();
  EXPECT_EQ(reason.kind, Kind::kVmmError);
  EXPECT_EQ(reason.detail, "no line");
}

TEST(StopReasonOfTest, WhatTheHostRunsOutOfIsTheHosts) {
  const StopReason host = StopReasonOf(absl::ResourceExhaustedError("full"), 3);
  EXPECT_EQ(host.kind, Kind::kHostError);
  EXPECT_EQ(host.detail, "full");
  EXPECT_EQ(host.vcpu, 3u);
  EXPECT_EQ(StopReasonOf(absl::InternalError("ours")).kind, Kind::kVmmError);
}

// KVM holds those that are off.
TEST_F(MachineTest, WhereKvmAnswersPsciAllEnterTheGuest) {
  MachineSpec spec = Spec(2);
  spec.psci = PsciHandler::kKvm;
  Create(spec);
  Vcpu(1).Then(SystemEvent{SystemEvent::Kind::kShutdown});
  EXPECT_EQ(Run().vcpu, 1u);
  EXPECT_THAT(Vcpu(1).calls(), ElementsAre("run"));
}

// --- Its device tree --------------------------------------------------------

TEST_F(MachineTest, TheTreeDescribesTheInterruptControllerThatKvmMade) {
  for (const auto& [version, compatible] :
       {std::pair(GicVersion::kV2, "arm,cortex-a15-gic"),
        std::pair(GicVersion::kV3, "arm,gic-v3")}) {
    on_open_ = [version = version](FakeVm& vm) { vm.gic_version = version; };
    Create(1);
    EXPECT_THAT(
        TreeView(machine_->dtb()).Strings("/intc@8000000", "compatible"),
        ElementsAre(compatible));
  }
}

TEST_F(MachineTest, TheConsoleIsThePathOfStandardOutput) {
  Create(1);
  EXPECT_THAT(TreeView(machine_->dtb()).Strings("/chosen", "stdout-path"),
              ElementsAre("/pl011@9000000"));
}

// With a seed always the same, and not the seed itself.
TEST_F(MachineTest, SeedsAreOfTheirLength) {
  Create(1);
  const TreeView tree(machine_->dtb());
  EXPECT_EQ(tree.Bytes("/chosen", "kaslr-seed").size(), 8u);
  const auto seed = tree.Bytes("/chosen", "rng-seed");
  EXPECT_EQ(seed.size(), 64u);
  EXPECT_GT(std::set<uint8_t>(seed.begin(), seed.end()).size(), 16u);
  EXPECT_NE(tree.Cells("/chosen", "kaslr-seed"), (std::vector<uint32_t>{0, 1}));
}

// Each bit of 64 is set in one of 64 machines, and clear in another.
TEST_F(MachineTest, WithoutASeedTheHostsRandomnessFillsAllBits) {
  MachineSpec spec = Spec(1);
  spec.seed = std::nullopt;
  std::vector<uint32_t> set = {0, 0}, clear = {0, 0};
  for (int i = 0; i < 64; ++i) {
    Create(spec);
    const auto seed = TreeView(machine_->dtb()).Cells("/chosen", "kaslr-seed");
    ASSERT_EQ(seed.size(), 2u);
    for (size_t half = 0; half < 2; ++half) {
      set[half] |= seed[half];
      clear[half] |= ~seed[half];
    }
  }
  EXPECT_THAT(set, ElementsAre(UINT32_MAX, UINT32_MAX));
  EXPECT_THAT(clear, ElementsAre(UINT32_MAX, UINT32_MAX));
}

// --- Its parking ------------------------------------------------------------

class MachineParkTest : public MachineTest {
 protected:
  void CreateThatParks(ParkMode park, PsciHandler psci = PsciHandler::kVmm) {
    MachineSpec spec = Spec(2);
    spec.park = park;
    spec.psci = psci;
    Create(spec);
  }
  // What a guest stores to CPU 1's page, without a vCPU.
  void Put(uint64_t offset, uint64_t value) {
    const uint64_t page = machine_->park()->pages.base().value();
    uint8_t* const at = vm_->ram + (page - vm_->ram_base);
    ASSERT_EQ(mprotect(at, 4096, PROT_READ | PROT_WRITE), 0);
    __atomic_store_n(reinterpret_cast<uint64_t*>(at + offset), value,
                     __ATOMIC_SEQ_CST);
  }
  void AwaitParkStore() {
    for (;;) {
      for (const Event& event : Events()) {
        if (event.kind == Event::Kind::kParkStore) return;
      }
      ASSERT_TRUE(machine_->Diagnoses().empty());
      poll(nullptr, 0, 1);
    }
  }
  void StopAndJoin() {
    machine_->RequestStop({.kind = Kind::kInterrupt});
    machine_->Join();
  }
  // Threads of this process with this name.
  static int Threads(const std::string& name) {
    int count = 0;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream file(task.path() / "comm");
      std::string comm;
      count += std::getline(file, comm) && comm == name ? 1 : 0;
    }
    return count;
  }
};

TEST_F(MachineParkTest, ThePagesAreWatchedUntilTheEnd) {
  CreateThatParks(ParkMode::kGuest);
  EXPECT_EQ(Threads("park-watch"), 0);
  machine_->Start();
  Put(PARK_PAGE_TEXT, 0x55);
  Put(PARK_PAGE_MAGIC, PARK_MAGIC);
  // CPU 1 has never been on: the magic is not its own.
  while (machine_->Diagnoses().empty()) poll(nullptr, 0, 1);
  EXPECT_EQ(machine_->Diagnoses()[0].fault, psci::ParkFault::kStaleMagic);
  EXPECT_EQ(Threads("park-watch"), 1);
  StopAndJoin();
  EXPECT_EQ(Threads("park-watch"), 0);
  EXPECT_EQ(machine_->Spinning()->parks, 0u);
}

TEST_F(MachineParkTest, ACpuThatIsOnMayParkInTheGuest) {
  CreateThatParks(ParkMode::kGuest);
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 0});
  std::promise<void> runs;
  Vcpu(1).on_run = [&, once = false]() mutable {
    if (!std::exchange(once, true)) runs.set_value();
  };
  machine_->Start();
  runs.get_future().wait();
  Put(PARK_PAGE_TEXT, 0x55);
  Put(PARK_PAGE_MAGIC, PARK_MAGIC);
  AwaitParkStore();
  StopAndJoin();
  EXPECT_EQ(machine_->Spinning()->parks, 1u);
  EXPECT_TRUE(machine_->Diagnoses().empty());
}

// Which CPUs are off is KVM's to know.
TEST_F(MachineParkTest, WhereKvmAnswersPsciAMagicIsBelieved) {
  CreateThatParks(ParkMode::kGuest, PsciHandler::kKvm);
  machine_->Start();
  Put(PARK_PAGE_TEXT, 0x55);
  Put(PARK_PAGE_MAGIC, PARK_MAGIC);
  AwaitParkStore();
  StopAndJoin();
  EXPECT_EQ(machine_->Spinning()->parks, 1u);
}

TEST_F(MachineParkTest, WhatNobodyHasLookedAtIsFoundInTheEnd) {
  for (const bool inspected : {true, false}) {
    CreateThatParks(ParkMode::kHost);
    std::promise<void> opened;
    Vcpu(0).on_run = [&, runs = 0]() mutable {
      if (++runs == 2) opened.set_value();
    };
    Vcpu(0).Then(StoreRefused{});  // Opens the pages.
    machine_->Start();
    opened.get_future().wait();
    Put(PARK_PAGE_MAGIC, PARK_MAGIC);
    EXPECT_TRUE(machine_->Diagnoses().empty());
    if (inspected) {
      machine_->Inspect();
    } else {
      StopAndJoin();
    }
    ASSERT_EQ(machine_->Diagnoses().size(), 1u);
    EXPECT_EQ(machine_->Diagnoses()[0].fault,
              psci::ParkFault::kMagicWithoutCpu);
  }
}

// One more line of the list, and the guest has one more device.
TEST_F(MachineTest, ADeviceOfTheListIsOnTheBusAndInTheDeviceTree) {
  const MachineSpec spec = Spec(1);
  std::vector<DeviceEntry> devices = DevicesOf(spec);
  devices.push_back({.needs = ToyDevice::kNeeds, .make = MakeToyDevice});
  auto plan = Plan(spec, devices);
  ASSERT_TRUE(plan.ok()) << plan.status();
  Create(spec, *std::move(plan));

  const TreeView tree(machine_->dtb());
  EXPECT_THAT(tree.Strings("/toy@c300000", "compatible"),
              ElementsAre("parkvmm,toy"));
  EXPECT_THAT(tree.Cells("/toy@c300000", "reg"),
              ElementsAre(0, 0x0c300000, 0, 0x200));
  EXPECT_THAT(tree.Cells("/toy@c300000", "interrupts"), ElementsAre(0, 48, 4));

  Vcpu(0).Then(MmioWrite{GuestAddress(0x0c300010), 4, 0x77});
  Vcpu(0).Then(MmioRead{GuestAddress(0x0c300010), 4});
  Calls(0, PSCI_SYSTEM_OFF);
  Run();
  EXPECT_THAT(Vcpu(0).calls(), Contains("answer 0x77"));
  EXPECT_EQ(vm_->spi_levels,
            (std::vector<std::pair<unsigned, bool>>{{48, true}}));
  EXPECT_EQ(machine_->Mistakes().unowned_accesses, 0u);
}

// What a kernel that parks has to find, and where it must not allocate.
TEST_F(MachineTest, ParkPagesAndSlotsAreAnnounced) {
  struct Case {
    ParkMode mode;
    bool pages, slots;
  };
  for (const Case& c :
       {Case{ParkMode::kOff, false, false}, Case{ParkMode::kGuest, true, false},
        Case{ParkMode::kHost, true, true}}) {
    MachineSpec spec = Spec(2);
    spec.park = c.mode;
    const auto machine = Machine::Create(
        spec, [](const VmSpec& vm) { return std::make_unique<FakeVm>(vm); });
    ASSERT_TRUE(machine.ok()) << machine.status();
    const auto& dtb = (*machine)->dtb();
    const std::string tree(dtb.begin(), dtb.end());
    EXPECT_EQ(absl::StrContains(tree, "cpuparkmem=0x43df0000"), c.pages);
    EXPECT_EQ(absl::StrContains(tree, "park@43de0000"), c.pages);
    EXPECT_EQ(absl::StrContains(tree, PARK_DEVICE_COMPATIBLE), c.slots);
    EXPECT_EQ((*machine)->park().has_value(), c.pages);
  }
}

// --- Modelled firmware ------------------------------------------------------

class MachineFirmwareTest : public MachineTest {
 protected:
  static constexpr int64_t kMillisecond = 1'000'000;

  void CreateWith(const psci::FirmwareModel& firmware,
                  ParkMode park = ParkMode::kOff) {
    MachineSpec spec = Spec(2);
    spec.firmware = firmware;
    spec.park = park;
    Create(spec);
  }
  // CPU 0 has nothing to do but this, now and then, and then the machine ends.
  void Repeats(uint32_t function, std::array<uint64_t, 3> x1_to_x3) {
    constexpr int kTimes = 100;
    Vcpu(0).on_run = [] { poll(nullptr, 0, 1); };
    for (int i = 0; i < kTimes; ++i) Calls(0, function, x1_to_x3);
    Calls(0, PSCI_SYSTEM_OFF);
  }
  static std::vector<Event> Of(const std::vector<Event>& all, uint32_t vcpu,
                               Event::Kind kind, uint32_t function = 0) {
    std::vector<Event> result;
    for (const Event& event : all) {
      if (event.vcpu == vcpu && event.kind == kind &&
          event.function == function) {
        result.push_back(event);
      }
    }
    return result;
  }
  void StopsAtOnceWithCpu1(psci::PowerState state) {
    const int64_t begin = machine_->Now();
    machine_->RequestStop({.kind = Kind::kInterrupt});
    machine_->Join();
    EXPECT_LT(machine_->Now() - begin, 1000 * kMillisecond);
    EXPECT_EQ(machine_->PostMortem()[1].state, state);
  }
};

TEST_F(MachineFirmwareTest, ACpuIsOnUntilFirmwareHasTurnedItOff) {
  CreateWith({.off_ns = 30 * kMillisecond});
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 0});
  Calls(1, PSCI_CPU_OFF);
  Repeats(PSCI_AFFINITY_INFO_64, {1, 0, 0});
  EXPECT_EQ(Run().kind, Kind::kPowerOff);
  const std::vector<Event> events = Events();
  const int64_t called = Of(events, 1, Event::Kind::kPsci, PSCI_CPU_OFF)[0].ns;
  int seen_off = 0;
  for (const Event& event :
       Of(events, 0, Event::Kind::kPsci, PSCI_AFFINITY_INFO_64)) {
    if (event.result == PSCI_AFFINITY_ON) continue;
    ++seen_off;
    EXPECT_GE(event.ns, called + 30 * kMillisecond);
  }
  EXPECT_GT(seen_off, 0);
  const Event off = Of(events, 1, Event::Kind::kOff)[0];
  EXPECT_GE(off.firmware_ns, 30 * kMillisecond);
  EXPECT_LE(off.firmware_ns, off.ns - called);
  EXPECT_EQ(Of(events, 1, Event::Kind::kStart)[0].firmware_ns, 0);
}

TEST_F(MachineFirmwareTest, ACpuStartsWhenFirmwareHasTurnedItOnAndOnce) {
  CreateWith({.on_ns = 30 * kMillisecond, .far_on_ns = 30 * kMillisecond});
  Repeats(PSCI_CPU_ON_64, {1, kEntry, 42});
  EXPECT_EQ(Run().kind, Kind::kPowerOff);
  const std::vector<Event> events = Events();
  const auto calls = Of(events, 0, Event::Kind::kPsci, PSCI_CPU_ON_64);
  for (size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(calls[i].result, i == 0 ? PSCI_RET_SUCCESS : PSCI_RET_ALREADY_ON);
  }
  const auto starts = Of(events, 1, Event::Kind::kStart);
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_GE(starts[0].ns, calls[0].ns + 30 * kMillisecond);
  EXPECT_GE(starts[0].firmware_ns, 30 * kMillisecond);
  EXPECT_LE(starts[0].firmware_ns, starts[0].ns - calls[0].ns);
  // It was nobody's CPU_ON.
  EXPECT_EQ(Of(events, 0, Event::Kind::kStart)[0].firmware_ns, 0);
}

TEST_F(MachineFirmwareTest, ParkingIsNoneOfItsAffairsButCpuOnOfAParkedCpuIs) {
  CreateWith({.off_ns = 2 * kMillisecond, .on_ns = 3 * kMillisecond},
             ParkMode::kHost);
  const auto slot = [](uint64_t cpu, uint64_t reg) {
    return GuestAddress(kParkDeviceSlots.base().value() +
                        cpu * PARK_DEVICE_STRIDE + reg);
  };
  // By CPU_ON on, parked, released, parked, by CPU_ON on.
  Vcpu(0).on_run = [] { poll(nullptr, 0, 100); };
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 0});
  Vcpu(1).Then(MmioWrite{slot(1, PARK_REG_MAGIC), 8, PARK_MAGIC});
  Vcpu(0).Then(MmioWrite{slot(1, PARK_REG_EXIT), 8, kEntry});
  Vcpu(1).Then(MmioWrite{slot(1, PARK_REG_MAGIC), 8, PARK_MAGIC});
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 0});
  Calls(1, PSCI_SYSTEM_OFF);
  EXPECT_EQ(Run().vcpu, 1u);
  const std::vector<Event> events = Events();
  const auto starts = Of(events, 1, Event::Kind::kStart);
  ASSERT_EQ(starts.size(), 3u);
  EXPECT_GE(starts[0].firmware_ns, 3 * kMillisecond);
  EXPECT_EQ(starts[1].firmware_ns, 0);
  EXPECT_GE(starts[2].firmware_ns, 3 * kMillisecond);
  for (const Event& off : Of(events, 1, Event::Kind::kOff)) {
    EXPECT_EQ(off.firmware_ns, 0);
  }
}

TEST_F(MachineFirmwareTest, AStopInterruptsCpuOn) {
  CreateWith({.on_ns = 10'000 * kMillisecond});
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 0});
  machine_->Start();
  while (!absl::c_linear_search(Vcpu(0).calls(), "x0 = 0")) {
    poll(nullptr, 0, 1);
  }
  StopsAtOnceWithCpu1(psci::PowerState::kOnPending);
  EXPECT_TRUE(Vcpu(1).calls().empty());
}

TEST_F(MachineFirmwareTest, AStopInterruptsCpuOff) {
  CreateWith({.off_ns = 10'000 * kMillisecond});
  Calls(0, PSCI_CPU_ON_64, {1, kEntry, 0});
  Calls(1, PSCI_CPU_OFF);
  machine_->Start();
  while (Vcpu(1).calls().size() < 2) poll(nullptr, 0, 1);
  poll(nullptr, 0, 10);
  StopsAtOnceWithCpu1(psci::PowerState::kOn);
  EXPECT_EQ(machine_->PostMortem()[1].pc, 0xfeedu);
}

}  // namespace
}  // namespace vmm
