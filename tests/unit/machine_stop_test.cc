// SPDX-License-Identifier: Apache-2.0
// Any stop, at any moment, joins all threads within a second: real threads,
// whose vCPUs turn each other on and off as fast as they can. For TSan, too.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <random>
#include <thread>

#include "psci-emul/psci_abi.h"
#include "tests/support/fake_vm.h"
#include "vmm/core/machine.h"

namespace vmm {
namespace {

using std::chrono::microseconds;

constexpr uint32_t kCpus = 6;
constexpr int kRounds = 100;
constexpr int kCallsPerCpu = 100;
constexpr std::chrono::seconds kLimit(1);

// What one guest CPU does: mostly CPU_ON, so that there is somebody to stop.
void Script(std::mt19937& random, FakeVcpu& vcpu) {
  for (int i = 0; i < kCallsPerCpu; ++i) {
    const uint64_t target = random() % kCpus;
    switch (random() % 8) {
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

// How the machine is asked to stop.
enum class By { kRequest, kGuest };

void StopAtRandom(uint32_t seed, By by) {
  std::mt19937 random(seed);
  FakeVm* vm = nullptr;
  auto machine = Machine::Create(
      {.kernel = *ParseRaw("stub", std::vector<uint8_t>(64, 0x42)),
       .memory_bytes = uint64_t{16} << 20,
       .vcpus = kCpus,
       .seed = 1},
      [&vm](const VmSpec& spec) {
        auto made = std::make_unique<FakeVm>(spec);
        vm = made.get();
        return made;
      });
  ASSERT_TRUE(machine.ok()) << machine.status();
  for (FakeVcpu* vcpu : vm->vcpus) Script(random, *vcpu);
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

TEST(MachineStopTest, AStopThatMeetsTheGuestsOwnJoinsAllWithinASecond) {
  for (uint32_t seed = 0; seed < kRounds; ++seed) {
    StopAtRandom(kRounds + seed, By::kGuest);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace vmm
