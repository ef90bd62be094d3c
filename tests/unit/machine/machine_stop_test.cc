// SPDX-License-Identifier: Apache-2.0
// Any stop, at any moment, joins all threads within a second: real threads,
// whose vCPUs turn each other on and off as fast as they can. For TSan, too.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <future>
#include <random>
#include <thread>
#include <utility>

#include "psci-emul/park_abi.h"
#include "psci-emul/psci_abi.h"
#include "tests/support/fake_vm.h"
#include "vmm/boot/memory_map.h"
#include "vmm/machine/machine.h"

namespace vmm {
namespace {

using std::chrono::microseconds;

constexpr uint32_t kCpus = 6;
constexpr int kRounds = 100;
constexpr int kCallsPerCpu = 100;
constexpr std::chrono::seconds kLimit(1);

GuestAddress Slot(uint64_t cpu, uint64_t reg) {
  return GuestAddress(kParkDeviceSlots.base().value() +
                      cpu * PARK_DEVICE_STRIDE + reg);
}

// What one guest CPU does: mostly CPU_ON, so that there is somebody to stop.
// Its only store is the one that parks it in its page.
void Script(std::mt19937& random, uint64_t self, FakeVcpu& vcpu) {
  for (int i = 0; i < kCallsPerCpu; ++i) {
    const uint64_t target = random() % kCpus;
    switch (random() % 12) {
      case 8:
        vcpu.Then(MmioWrite{Slot(self, PARK_REG_MAGIC), 8, PARK_MAGIC});
        break;
      case 9:
        vcpu.Then(MmioWrite{Slot(target, PARK_REG_EXIT), 8, 0x40100000});
        break;
      case 10:
        vcpu.Then(StoreRefused{});
        break;
      case 0:
        vcpu.Then(Hypercall{PSCI_CPU_OFF, false});
        break;
      case 1:
        vcpu.Then(Hypercall{PSCI_AFFINITY_INFO_64, false}, {target, 0, 0});
        break;
      case 2:
        vcpu.Then(Hypercall{PSCI_CPU_SUSPEND_64, false});
        break;
      default:
        vcpu.Then(Hypercall{PSCI_CPU_ON_64, false}, {target, 0x40100000, 0});
    }
  }
}

// A park page for each, with the one instruction in it that counts.
void PreparePages(const Machine& machine, FakeVm& vm) {
  const uint32_t store_magic = 0xf9000401;  // str x1, [x0, #8]
  for (uint32_t i = 0; i < kCpus; ++i) {
    const uint64_t page = machine.park()->pages.base().value() + i * 4096;
    uint8_t* const at = vm.ram + (page - vm.ram_base);
    ASSERT_EQ(mprotect(at, 4096, PROT_READ | PROT_WRITE), 0);
    std::memcpy(at + PARK_PAGE_TEXT, &store_magic, sizeof(store_magic));
    vm.vcpus[i]->pc = page + PARK_PAGE_TEXT;
    vm.vcpus[i]->x[0] = page;
    vm.vcpus[i]->x[1] = PARK_MAGIC;
  }
}

// A machine that parks its CPUs in the VMM; `vm` is the fake under it.
absl::StatusOr<std::unique_ptr<Machine>> Make(
    FakeVm*& vm, psci::FirmwareModel firmware = {}) {
  return Machine::Create(
      {.kernel = *ParseRaw("stub", Content(std::vector<uint8_t>(64, 0x42))),
       .memory_bytes = uint64_t{16} << 20,
       .vcpus = kCpus,
       .firmware = std::move(firmware),
       .park = ParkMode::kHost,
       .seed = 1},
      [&vm](const VmSpec& spec) {
        auto made = std::make_unique<FakeVm>(spec);
        vm = made.get();
        return made;
      });
}

// How the machine is asked to stop.
enum class By { kRequest, kGuest };

void StopAtRandom(uint32_t seed, By by, psci::FirmwareModel firmware = {}) {
  std::mt19937 random(seed);
  FakeVm* vm = nullptr;
  const auto machine = Make(vm, std::move(firmware));
  ASSERT_TRUE(machine.ok()) << machine.status();
  PreparePages(**machine, *vm);
  for (uint32_t i = 0; i < kCpus; ++i) Script(random, i, *vm->vcpus[i]);
  if (by == By::kGuest) {  // Several at once, if several get there.
    for (FakeVcpu* vcpu : vm->vcpus) {
      vcpu->Then(Hypercall{PSCI_SYSTEM_OFF, false});
    }
  }
  (*machine)->Start();
  std::this_thread::sleep_for(microseconds(random() % 1000));
  const auto asked = std::chrono::steady_clock::now();
  (*machine)->RequestStop({.kind = StopReason::Kind::kInterrupt});
  const auto joined =
      std::async(std::launch::async, [&] { (*machine)->Join(); });
  EXPECT_EQ(joined.wait_until(asked + kLimit), std::future_status::ready)
      << "a thread is left, seed " << seed;
}

TEST(MachineStopTest, AnyStopAtAnyMomentJoinsAllWithinASecond) {
  for (uint32_t seed = 0; seed < kRounds; ++seed) {
    StopAtRandom(seed, By::kRequest);
    if (HasFailure()) return;
  }
}

// A guest whose code is what it likes: each CPU's store into the park window is
// stepped over, and that instruction ends only when the vCPU is kicked.
TEST(MachineStopTest, AStopFindsCpusWhoseStepDoesNotEnd) {
  FakeVm* vm = nullptr;
  const auto machine = Make(vm);
  ASSERT_TRUE(machine.ok()) << machine.status();
  std::promise<void> steps;
  vm->vcpus[0]->on_run = [&, runs = 0]() mutable {
    if (++runs == 3) steps.set_value();
  };
  vm->vcpus[0]->Then(StoreRefused{});  // Opens what is vacant.
  vm->vcpus[0]->Then(StoreRefused{});  // Is stepped over.
  (*machine)->Start();
  ASSERT_EQ(steps.get_future().wait_for(std::chrono::seconds(5)),
            std::future_status::ready);
  const auto asked = std::chrono::steady_clock::now();
  (*machine)->Inspect();
  (*machine)->RequestStop({.kind = StopReason::Kind::kInterrupt});
  const auto joined =
      std::async(std::launch::async, [&] { (*machine)->Join(); });
  EXPECT_EQ(joined.wait_until(asked + kLimit), std::future_status::ready);
}

TEST(MachineStopTest, AStopThatMeetsTheGuestsOwnJoinsAllWithinASecond) {
  for (uint32_t seed = 0; seed < kRounds; ++seed) {
    StopAtRandom(kRounds + seed, By::kGuest);
    if (HasFailure()) return;
  }
}

TEST(MachineStopTest, AStopFindsThoseThatFirmwareHas) {
  for (uint32_t seed = 0; seed < kRounds; ++seed) {
    StopAtRandom(2 * kRounds + seed, By::kRequest,
                 {.name = "custom",
                  .off_ns = 100'000,
                  .on_ns = seed % 2 == 0 ? 100'000 : 10'000'000'000,
                  .serialised = seed % 3 == 0});
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace vmm
