// SPDX-License-Identifier: Apache-2.0
// vmm as it would be if the host lost a CPU:
//
//   vmm-faulty VCPU:N run ...
//
// The N-th start of the vCPU never comes: whoever called CPU_ON was told that
// it succeeded, and not one instruction is executed. No start after it comes,
// either. Or as it would be if a kind of thread might not make a system call:
//
//   vmm-faulty deny:vcpu|watch|main:NUMBER[:REQUEST] run ...
//
// Or as it is if one of its system calls fails, and which it makes
// (failing_call.h):
//
//   vmm-faulty fail:NUMBER[/REQUEST]:INDEX:ERRNO run ...
//   vmm-faulty count run ...
#include <linux/seccomp.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/faulty-vmm/failing_call.h"
#include "tests/support/call_filter.h"
#include "vmm/base/mutex.h"
#include "vmm/base/status_macros.h"
#include "vmm/cli/command_line.h"
#include "vmm/cli/confinement.h"
#include "vmm/cli/program.h"
#include "vmm/kvm/vm.h"
#include "vmm/machine/machine.h"
#include "vmm/run/exit_code.h"
#include "vmm/run/session.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/sandbox/violation.h"

namespace vmm {
namespace {

// A vCPU that does all that another one does, but for its `lost`-th start.
class LostVcpu final : public Vcpu {
 public:
  LostVcpu(std::unique_ptr<Vcpu> vcpu, uint32_t lost)
      : vcpu_(std::move(vcpu)), lost_(lost) {}

  absl::Status SetEntry(GuestAddress entry, uint64_t x0) override {
    RETURN_IF_ERROR(vcpu_->SetEntry(entry, x0));
    if (++starts_ >= lost_) AwaitKick();
    return absl::OkStatus();
  }
  void Kick() override {
    vcpu_->Kick();
    MutexLock lock(mutex_);
    kicked_ = true;
    changed_.NotifyAll();
  }

  uint64_t mpidr() const override { return vcpu_->mpidr(); }
  absl::StatusOr<VcpuExit> Run() override { return vcpu_->Run(); }
  void AnswerRead(uint64_t value) override { vcpu_->AnswerRead(value); }
  absl::Status ReadArguments(absl::Span<uint64_t> registers) override {
    return vcpu_->ReadArguments(registers);
  }
  absl::Status WriteX(unsigned index, uint64_t value) override {
    return vcpu_->WriteX(index, value);
  }
  absl::StatusOr<uint64_t> ReadX(unsigned index) override {
    return vcpu_->ReadX(index);
  }
  absl::StatusOr<uint64_t> Read(GuestRegister which) override {
    return vcpu_->Read(which);
  }
  absl::Status WritePc(uint64_t value) override {
    return vcpu_->WritePc(value);
  }
  absl::Status Reset() override { return vcpu_->Reset(); }
  absl::Status Suspend() override { return vcpu_->Suspend(); }
  absl::Status Resume() override { return vcpu_->Resume(); }
  absl::Status InjectDataAbort() override { return vcpu_->InjectDataAbort(); }
  absl::Status WatchStores(GuestRange range) override {
    return vcpu_->WatchStores(range);
  }
  absl::Status Step() override { return vcpu_->Step(); }
  absl::Status EndDebug() override { return vcpu_->EndDebug(); }
  void Nudge() override { vcpu_->Nudge(); }

 private:
  void AwaitKick() {
    MutexLock lock(mutex_);
    while (!kicked_) changed_.WaitFor(mutex_, std::chrono::seconds(1));
  }

  const std::unique_ptr<Vcpu> vcpu_;
  const uint32_t lost_;
  uint32_t starts_ = 0;
  Mutex mutex_;
  CondVar changed_;
  bool kicked_ ABSL_GUARDED_BY(mutex_) = false;
};

struct Fault {
  uint32_t vcpu = 0;
  uint32_t start = 0;
};

class FaultyVm final : public Vm {
 public:
  FaultyVm(std::unique_ptr<Vm> vm, Fault fault)
      : vm_(std::move(vm)), fault_(fault) {}

  absl::StatusOr<std::vector<std::unique_ptr<Vcpu>>> CreateVcpus() override {
    ASSIGN_OR_RETURN(auto vcpus, vm_->CreateVcpus());
    if (fault_.vcpu < vcpus.size()) {
      std::unique_ptr<Vcpu>& vcpu = vcpus[fault_.vcpu];
      vcpu = std::make_unique<LostVcpu>(std::move(vcpu), fault_.start);
    }
    return vcpus;
  }

  GicVersion gic() const override { return vm_->gic(); }
  absl::Status AddRam(GuestRange range, void* memory) override {
    return vm_->AddRam(range, memory);
  }
  absl::Status SetSpi(unsigned spi, bool level) override {
    return vm_->SetSpi(spi, level);
  }

 private:
  const std::unique_ptr<Vm> vm_;
  const Fault fault_;
};

// A sandbox that denies one system call more to threads of one kind.
class StricterSandbox final : public Sandbox {
 public:
  struct Denied {
    ThreadKind kind = ThreadKind::kMain;
    uint32_t call = 0;
    std::optional<uint32_t> request;  // Of ioctl; else any.
  };
  StricterSandbox(std::unique_ptr<const Sandbox> sandbox, const Denied& denied)
      : sandbox_(std::move(sandbox)), denied_(denied) {}

  absl::Status Enter(ThreadKind kind, absl::string_view name) const override {
    NameForViolations(name);
    // First: a thread that is confined loads no more filters.
    if (kind == denied_.kind) RETURN_IF_ERROR(Deny());
    if (sandbox_ == nullptr) return absl::OkStatus();
    return sandbox_->Enter(kind, name);
  }
  absl::Status Deny() const {
    if (FilterCall(denied_.call, denied_.request, SECCOMP_RET_TRAP) != 0) {
      return absl::InternalError("cannot deny a system call");
    }
    return absl::OkStatus();
  }
  bool IsFor(ThreadKind kind) const { return kind == denied_.kind; }

 private:
  const std::unique_ptr<const Sandbox> sandbox_;
  const Denied denied_;
};

std::optional<StricterSandbox::Denied> ParseDenied(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ':');
  StricterSandbox::Denied denied;
  if (words.size() < 3 || words[0] != "deny") return std::nullopt;
  if (words[1] == "vcpu") denied.kind = ThreadKind::kVcpu;
  if (words[1] == "watch") denied.kind = ThreadKind::kWatch;
  if (!absl::SimpleAtoi(words[2], &denied.call)) return std::nullopt;
  uint32_t request = 0;
  if (words.size() > 3 && absl::SimpleAtoi(words[3], &request)) {
    denied.request = request;
  }
  return denied;
}

// `vmm`, with a system call less.
ExitCode RunWithout(const StricterSandbox::Denied& denied, int argc,
                    const char* const* argv) {
  const auto confine = [&](const RunOptions& options)
      -> absl::StatusOr<std::unique_ptr<const Sandbox>> {
    ASSIGN_OR_RETURN(auto sandbox, ConfineProcess(options));
    auto stricter =
        std::make_unique<StricterSandbox>(std::move(sandbox), denied);
    if (stricter->IsFor(ThreadKind::kMain)) {
      RETURN_IF_ERROR(stricter->Deny());
    }
    return stricter;
  };
  return RunCommandLine(argc, argv, RunKvmSession, confine);
}

bool ParseFault(absl::string_view text, Fault& fault) {
  const std::pair<absl::string_view, absl::string_view> words =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  return absl::SimpleAtoi(words.first, &fault.vcpu) &&
         absl::SimpleAtoi(words.second, &fault.start) && fault.start > 0;
}

int Main(int argc, const char* const* argv) {
  if (argc > 1) {
    const auto run = [&] { return RunProgram(argc - 1, argv + 1); };
    if (absl::string_view(argv[1]) == "count") return RunAndCountCalls(run);
    if (const auto failing = ParseFailingCall(argv[1])) {
      return RunWithFailingCall(*failing, run);
    }
    if (const auto denied = ParseDenied(argv[1])) {
      return static_cast<int>(RunWithout(*denied, argc - 1, argv + 1));
    }
  }
  Fault fault;
  if (argc < 2 || !ParseFault(argv[1], fault)) {
    std::cerr << "usage: vmm-faulty VCPU:N run ..., with N from 1 on\n";
    return static_cast<int>(ExitCode::kUsage);
  }
  const auto open_vm =
      [fault](const VmSpec& spec) -> absl::StatusOr<std::unique_ptr<Vm>> {
    ASSIGN_OR_RETURN(auto vm, OpenKvm(spec));
    return std::make_unique<FaultyVm>(std::move(vm), fault);
  };
  const auto run_session = [&](const MachineSpec& spec, const MachinePlan& plan,
                               const SessionOptions& options) {
    return RunSession(spec, options, {.create = [&] {
                        return Machine::Create(spec, plan, open_vm);
                      }});
  };
  return static_cast<int>(RunCommandLine(argc - 1, argv + 1, run_session));
}

}  // namespace
}  // namespace vmm

int main(int argc, char** argv) { return vmm::Main(argc, argv); }
