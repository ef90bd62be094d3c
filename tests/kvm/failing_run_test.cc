// SPDX-License-Identifier: Apache-2.0
// A whole `vmm run` of two vCPUs over a KVM of which one call fails.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "psci-emul/park_abi.h"
#include "psci-emul/smccc.h"
#include "tests/kvm/fake_kvm.h"
#include "tests/support/scratch.h"
#include "vmm/base/unique_fd.h"
#include "vmm/boot/memory_map.h"
#include "vmm/cli/run_command.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/host_report.h"

namespace vmm {
namespace {

using testing::HasSubstr;
using Point = FakeKvm::Point;

constexpr uint64_t kEntry = 0x40080000;
constexpr uint64_t kUartData = 0x09000000;
constexpr uint64_t kUartInterruptMask = 0x09000038;
constexpr uint64_t kUartTransmits = 1 << 5;

// What the two CPUs do, step by step.
class Guest {
 public:
  explicit Guest(FakeKvm& kvm) : kvm_(kvm) {}

  void Calls(size_t vcpu, uint32_t function, std::vector<uint64_t> args = {}) {
    script_.push_back({vcpu, [=, this](kvm_run& run) {
                         for (unsigned i = 0; i < args.size(); ++i) {
                           SetX(vcpu, i + 1, args[i]);
                         }
                         run.exit_reason = KVM_EXIT_HYPERCALL;
                         run.hypercall.nr = function;
                         return 0;
                       }});
  }
  void Stores(size_t vcpu, uint64_t address, uint32_t size, uint64_t value) {
    script_.push_back({vcpu, [=](kvm_run& run) {
                         run.exit_reason = KVM_EXIT_MMIO;
                         run.mmio.phys_addr = address;
                         run.mmio.len = size;
                         run.mmio.is_write = 1;
                         std::memcpy(run.mmio.data, &value, sizeof(value));
                         return 0;
                       }});
  }
  void Exits(size_t vcpu, uint32_t reason, uint32_t event = 0) {
    script_.push_back({vcpu, [=](kvm_run& run) {
                         run.exit_reason = reason;
                         run.system_event.type = event;
                         return 0;
                       }});
  }
  // Runs on until KVM was asked so often, or the VMM calls the vCPU out.
  void Awaits(size_t vcpu, const char* name, const char* who, int count) {
    Await(vcpu, [=, this] { return kvm_.Count(name, who) >= count; });
  }
  // Runs until the VMM calls it out; the other is there to see it.
  void RunsOn(size_t vcpu, size_t witness) {
    Await(vcpu, [this] {
      runs_on_ = true;
      return false;
    });
    Await(witness, [this] { return runs_on_.load(); });
  }
  // Once there are vCPUs.
  void Begin() {
    for (auto& [vcpu, step] : script_) kvm_.Then(vcpu, step);
  }

 private:
  using Condition = std::function<bool()>;

  void Await(size_t vcpu, const Condition& is_over) {
    script_.push_back({vcpu, Waiting(vcpu, is_over)});
  }
  FakeKvm::Step Waiting(size_t vcpu, const Condition& is_over) {
    return [=, this](kvm_run& run) {
      while (!is_over()) {
        if (__atomic_load_n(&run.immediate_exit, __ATOMIC_SEQ_CST) != 0) {
          kvm_.vcpus[vcpu].script.push_front(Waiting(vcpu, is_over));
          return EINTR;
        }
        sched_yield();
      }
      run.exit_reason = KVM_EXIT_INTR;
      return 0;
    };
  }
  void SetX(size_t vcpu, unsigned index, uint64_t value) {
    std::memcpy(kvm_.vcpus[vcpu].registers.at(XRegister(index)).value.data(),
                &value, sizeof(value));
  }

  FakeKvm& kvm_;
  std::vector<std::pair<size_t, FakeKvm::Step>> script_;
  std::atomic<bool> runs_on_ = false;
};

// Everything that a vCPU's thread asks KVM for, on both vCPUs.
void WriteScript(Guest& guest) {
  guest.Calls(0, PSCI_MIGRATE_INFO_TYPE);
  guest.Exits(0, KVM_EXIT_ARM_NISV);
  guest.Stores(0, kUartInterruptMask, 4, kUartTransmits);
  guest.Stores(0, kUartData, 1, '!');
  guest.Stores(0, kUartInterruptMask, 4, 0);
  guest.Calls(0, PSCI_CPU_SUSPEND_64, {0, 0, 0});
  guest.Exits(0, KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_WAKEUP);
  // CPU_OFF; the registers are reset at once, for nobody wants the CPU back.
  guest.Calls(0, PSCI_CPU_ON_64, {1, kEntry, 7});
  guest.Calls(1, PSCI_CPU_OFF);
  guest.Awaits(0, "KVM_SET_VCPU_EVENTS", "vCPU 1", 1);
  // The park device, whose access has to be finished first.
  guest.Calls(0, PSCI_CPU_ON_64, {1, kEntry, 7});
  const uint64_t slot = kParkDeviceSlots.base().value() + PARK_DEVICE_STRIDE;
  guest.Stores(1, slot + PARK_REG_MAGIC, 8, PARK_MAGIC);
  guest.Awaits(0, "KVM_SET_VCPU_EVENTS", "vCPU 1", 2);
  guest.Stores(0, slot + PARK_REG_EXIT, 8, kEntry);
  guest.Stores(1, kUartData, 1, '\n');
  guest.RunsOn(1, 0);
  guest.Calls(0, PSCI_SYSTEM_OFF);
}

struct Outcome {
  ExitCode code;
  std::string errors;
  std::vector<Point> points;
  size_t created_by = 0;   // Of the points, those before the guest began.
  size_t asked_after = 0;  // And those once it had ended.
};

std::vector<std::string> ErrorLines(const std::string& text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  std::erase_if(lines, [](const std::string& line) {
    return !absl::StartsWith(line, "vmm: error: ");
  });
  return lines;
}

// Whether fewer than `last` calls of its kind follow it.
bool IsAmongTheLast(int last, const std::vector<Point>& points, size_t index) {
  Point next = points[index];
  next.count += last;
  return std::find(points.begin(), points.end(), next) == points.end();
}

// Whether nothing of the run depends on the answer to a call of a good run.
bool IsHarmless(const Outcome& good, size_t index, int error) {
  const Point& point = good.points[index];
  if (index >= good.asked_after) return true;  // What host the results are of.
  if (point.name == "KVM_CHECK_EXTENSION") return true;
  // Whether a register can be written is asked twice.
  if (point.name == "KVM_SET_ONE_REG" && index < good.created_by) {
    return error == EINVAL;
  }
  // Where a vCPU was when the guest ended, and where its vectors were.
  return point.name == "KVM_GET_ONE_REG" && index >= good.created_by &&
         IsAmongTheLast(2, good.points, index);
}

class FailingRunTest : public testing::Test {
 protected:
  FailingRunTest() {
    // Links ExamineHost() from the same files as OpenKvm().
    auto* const volatile examine = &ExamineHost;
    EXPECT_NE(examine, nullptr);
    std::ofstream(kernel_) << "a flat binary";
  }
  ~FailingRunTest() override {
    std::filesystem::remove(kernel_);
    std::filesystem::remove(results_);
  }

  Outcome Run(const std::optional<Point>& failing, int error) {
    FakeKvm kvm;
    kvm.capabilities[KVM_CAP_ARM_SVE] = 1;
    for (const uint64_t id : {XRegister(2), XRegister(3)}) {
      kvm.registers[id].value.resize(8);
    }
    if (failing) kvm.FailAt(*failing, error);
    Guest guest(kvm);
    WriteScript(guest);
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    RunOptions options;
    options.kernel = kernel_;
    options.raw = true;
    options.park = "host";
    options.cpus = 2;
    options.memory = 64 << 20;
    options.timeout = "30s";
    options.results = results_;
    Outcome outcome;
    testing::internal::CaptureStderr();
    outcome.code = RunCommand(
        options, [&](const MachineSpec& spec, const MachinePlan& plan,
                     const SessionOptions& session) {
          const auto create = [&]() {
            auto machine = Machine::Create(spec, plan, OpenKvm);
            outcome.created_by = kvm.points().size();
            if (machine.ok()) guest.Begin();
            return machine;
          };
          auto result = RunSession(
              spec, session,
              {.create = create, .input = null.get(), .output = null.get()});
          outcome.asked_after = kvm.points().size();
          return result;
        });
    outcome.errors = testing::internal::GetCapturedStderr();
    outcome.points = kvm.points();
    return outcome;
  }

  // Fails each point of a good run in turn.
  void Sweep(int error, ExitCode expected) {
    const Outcome good = Run(std::nullopt, 0);
    ASSERT_EQ(good.code, ExitCode::kOk) << good.errors;
    size_t harmless = 0;
    for (size_t i = 0; i < good.points.size(); ++i) {
      const Point& point = good.points[i];
      SCOPED_TRACE(absl::StrCat(point.name, " ", point.count, " of ", point.who,
                                ": ", std::strerror(error)));
      const Outcome outcome = Run(point, error);
      EXPECT_THAT(outcome.points, testing::Contains(point));
      if (IsHarmless(good, i, error)) {
        ++harmless;
        EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.errors;
        continue;
      }
      EXPECT_EQ(outcome.code, expected) << outcome.errors;
      EXPECT_EQ(ErrorLines(outcome.errors).size(), 1u) << outcome.errors;
      EXPECT_THAT(outcome.errors,
                  HasSubstr(absl::StrCat("vmm: error: KVM ioctl ", point.name,
                                         ": ", std::strerror(error))));
    }
    std::cout << good.points.size() << " ioctls of a run, " << harmless
              << " of which may fail with " << std::strerror(error) << "\n";
    EXPECT_GT(good.points.size(), 100u);
    EXPECT_LT(harmless, good.points.size() / 3);
  }

  const std::string kernel_ = ScratchPath("kernel");
  const std::string results_ = ScratchPath("results");
};

TEST_F(FailingRunTest, WhatKvmRefusesIsOurs) {
  Sweep(EINVAL, ExitCode::kVmmBug);
}

TEST_F(FailingRunTest, AnErrorOfTheHardwareIsNoGuests) {
  Sweep(EIO, ExitCode::kVmmBug);
}

TEST_F(FailingRunTest, WhatTheHostRunsOutOfIsTheHosts) {
  Sweep(ENOMEM, ExitCode::kHostCannot);
}

}  // namespace
}  // namespace vmm
