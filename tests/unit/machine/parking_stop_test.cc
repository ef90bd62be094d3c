// SPDX-License-Identifier: Apache-2.0
// A stop in every state that parking can be in, of vCPUs whose Run() returns
// only when they are kicked: all threads join within a second.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>

#include "psci-emul/park_abi.h"
#include "psci-emul/psci_abi.h"
#include "tests/support/fake_vm.h"
#include "vmm/boot/memory_map.h"
#include "vmm/machine/machine.h"

namespace vmm {
namespace {

constexpr uint32_t kCpus = 3;
constexpr uint64_t kEntry = 0x40100000;
constexpr std::chrono::seconds kLimit(1);
constexpr std::chrono::seconds kGetsThere(20);

// Something that happens once and that any thread may wait for.
class Moment {
 public:
  void Comes() {
    std::call_once(once_, [this] { promise_.set_value(); });
  }
  bool Wait() const {
    return future_.wait_for(kGetsThere) == std::future_status::ready;
  }

 private:
  std::once_flag once_;
  std::promise<void> promise_;
  const std::shared_future<void> future_ = promise_.get_future().share();
};

// A machine in the making; CPU 0 runs first, the others when it turns them on.
struct Stage {
  const Machine& machine;
  FakeVm& vm;
  Moment& reached;  // The state to stop the machine in.
  Moment& meets;    // CPUs 0 and 1.

  FakeVcpu& cpu(uint32_t number) const { return *vm.vcpus[number]; }
  void TurnOn(uint64_t number) const {
    cpu(0).Then(Hypercall{PSCI_CPU_ON_64, false}, {number, kEntry, 0});
  }
  // CPU 0 goes on past its first exit when CPU 1 runs.
  void AwaitCpu1InGuest() const {
    cpu(1).on_run = [this] { meets.Comes(); };
    cpu(0).on_run = [this, runs = 0]() mutable {
      if (++runs == 2) meets.Wait();
    };
  }
  // CPU `number` is about to store its magic from the loop of its page.
  void Parks(uint32_t number) const {
    const uint32_t store_magic = 0xf9000401;  // str x1, [x0, #8]
    const uint64_t page =
        machine.park()->pages.base().value() + (number - 1) * 4096;
    uint8_t* const at = vm.ram + (page - vm.ram_base);
    ASSERT_EQ(mprotect(at, 4096, PROT_READ | PROT_WRITE), 0);
    std::memcpy(at + PARK_PAGE_TEXT, &store_magic, sizeof(store_magic));
    cpu(number).pc = page + PARK_PAGE_TEXT;
    cpu(number).x[0] = page;
    cpu(number).x[1] = PARK_MAGIC;
    cpu(number).Then(StoreRefused{});
  }
  // CPU 0 steps over an instruction that does not end. CPU 1 is on then, and
  // makes its first exit after that.
  void Cpu0StepsForEver() const {
    cpu(0).Then(StoreRefused{});  // Opens what is vacant.
    TurnOn(1);
    cpu(0).Then(StoreRefused{});  // Is stepped over.
    cpu(0).on_run = [this, runs = 0]() mutable {
      if (++runs == 4) meets.Comes();
    };
    cpu(1).on_run = [this] { meets.Wait(); };
  }
};

struct State {
  std::string name;
  ParkMode park;
  std::function<void(const Stage&)> set_up;
  friend void PrintTo(const State& state, std::ostream* out) {
    *out << state.name;
  }
};

const State kStates[] = {
    {"NobodyParksWhereNobodyCan", ParkMode::kOff,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.cpu(1).on_run = [&stage] { stage.reached.Comes(); };
     }},
    {"NobodyParksInTheGuest", ParkMode::kGuest,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.cpu(1).on_run = [&stage] { stage.reached.Comes(); };
     }},
    {"ACpuIsAskedWhereItIs", ParkMode::kGuest,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.AwaitCpu1InGuest();
       stage.TurnOn(1);  // Is refused.
       stage.cpu(1).on_nudge = [&stage] { stage.reached.Comes(); };
     }},
    {"NobodyParksInTheHost", ParkMode::kHost,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.cpu(1).on_run = [&stage] { stage.reached.Comes(); };
     }},
    {"ACpuIsParkedInItsPage", ParkMode::kHost,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.Parks(1);
       stage.cpu(1).on_reset = [&stage] { stage.reached.Comes(); };
     }},
    {"ACpuIsParkedInItsSlot", ParkMode::kHost,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.cpu(1).Then(
           MmioWrite{GuestAddress(kParkDeviceSlots.base().value() +
                                  PARK_DEVICE_STRIDE + PARK_REG_MAGIC),
                     8, PARK_MAGIC});
       stage.cpu(1).on_reset = [&stage] { stage.reached.Comes(); };
     }},
    {"ACpuWaitsUntilAllWatch", ParkMode::kHost,
     [](const Stage& stage) {
       stage.TurnOn(1);
       stage.AwaitCpu1InGuest();
       stage.cpu(0).Then(StoreRefused{});
       stage.cpu(1).on_nudge = [&stage] { stage.reached.Comes(); };
     }},
    {"ACpuStepsOverAnInstructionThatDoesNotEnd", ParkMode::kHost,
     [](const Stage& stage) {
       stage.Cpu0StepsForEver();
       stage.cpu(1).on_run = [&stage] {
         stage.meets.Wait();
         stage.reached.Comes();
       };
     }},
    {"ACpuThatStoresWaitsForAStep", ParkMode::kHost,
     [](const Stage& stage) {
       stage.Cpu0StepsForEver();
       stage.cpu(0).on_nudge = [&stage] { stage.reached.Comes(); };
       stage.cpu(1).Then(StoreRefused{});
     }},
    {"ACpuThatParksWaitsForAStep", ParkMode::kHost,
     [](const Stage& stage) {
       stage.Cpu0StepsForEver();
       stage.cpu(0).on_nudge = [&stage] { stage.reached.Comes(); };
       stage.Parks(1);
     }},
};

class ParkingStopTest : public testing::TestWithParam<State> {};

TEST_P(ParkingStopTest, AllThreadsJoinWithinASecond) {
  FakeVm* vm = nullptr;
  const auto machine = Machine::Create(
      {.kernel = *ParseRaw("stub", Content(std::vector<uint8_t>(64, 0x42))),
       .memory_bytes = uint64_t{16} << 20,
       .vcpus = kCpus,
       .park = GetParam().park,
       .seed = 1},
      [&vm](const VmSpec& spec) {
        auto made = std::make_unique<FakeVm>(spec);
        vm = made.get();
        return made;
      });
  ASSERT_TRUE(machine.ok()) << machine.status();
  for (FakeVcpu* const vcpu : vm->vcpus) vcpu->deaf = true;
  Moment reached;
  Moment meets;
  const Stage stage = {**machine, *vm, reached, meets};
  GetParam().set_up(stage);
  (*machine)->Start();
  const bool there = reached.Wait();
  const auto asked = std::chrono::steady_clock::now();
  (*machine)->RequestStop({.kind = StopReason::Kind::kInterrupt});
  const auto joined =
      std::async(std::launch::async, [&] { (*machine)->Join(); });
  EXPECT_EQ(joined.wait_until(asked + kLimit), std::future_status::ready)
      << "a thread is left";
  EXPECT_TRUE(there) << "the machine did not come to this state";
}

INSTANTIATE_TEST_SUITE_P(InEveryState, ParkingStopTest,
                         testing::ValuesIn(kStates),
                         [](const auto& state) { return state.param.name; });

}  // namespace
}  // namespace vmm
