// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_KVM_FAKE_KVM_H_
#define PARKVMM_TESTS_KVM_FAKE_KVM_H_

#include <atomic>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "vmm/kvm/uapi.h"

namespace vmm {

// An arm64 host's KVM that runs no guest. It takes the place of the system
// calls of vmm/kvm (system_calls.h) while it lives, one at a time, and answers
// by the rules of Documentation/virt/kvm/api.rst: what comes in an order that
// KVM refuses fails with KVM's error. Descriptors are real, so that a test can
// count them and memory can be mapped. Tests set the members before use and
// read them afterwards.
class FakeKvm {
 public:
  FakeKvm();
  ~FakeKvm();
  FakeKvm(const FakeKvm&) = delete;
  FakeKvm& operator=(const FakeKvm&) = delete;

  // What the host has.
  int open_error = 0;  // Of opening /dev/kvm.
  std::map<unsigned long, int> capabilities;
  std::set<uint32_t> devices;  // KVM_DEV_TYPE_*.
  bool smccc_filter = true;
  bool preferred_target = true;
  size_t run_size = 8192;
  std::string log;  // The kernel's.
  int log_error = 0;

  struct Register {
    std::vector<uint8_t> value;
    int write_error = 0;  // Of KVM_SET_ONE_REG.
  };
  // Those of a vCPU that was just created, but for MPIDR_EL1.
  std::map<uint64_t, Register> registers;

  // Makes the call of this index in calls() fail.
  void FailCall(size_t index, int error) { failures_ = {{index, error}}; }
  // Makes the next call of a request fail.
  template <typename Argument>
  void FailNext(uapi::Request<Argument> request, int error) {
    failures_by_request_[request.number()].push_back(error);
  }
  // A call by what was asked of whom, for the how manieth time: with several
  // vCPUs it is found again in another run, where its index in calls() is not.
  struct Point {
    std::string name;
    std::string who;  // "KVM", "VM", "GIC", "vCPU 0".
    int count;        // From 1.
    friend auto operator<=>(const Point&, const Point&) = default;
  };
  // Makes one call fail.
  void FailAt(Point point, int error) {
    failure_at_ = {std::move(point), error};
  }
  // Names of the requests that were answered or refused, in order.
  std::vector<std::string> calls() const;
  std::vector<Point> points() const;  // The same.
  // How often this was asked so far.
  int Count(const std::string& name, const std::string& who) const;
  // Registers that were written, in order, in hexadecimal: "6030...=12".
  std::vector<std::string> writes() const;
  void Forget();  // What calls() and writes() return.

  // KVM_RUN on the vCPU of this index: fills in the page and returns 0, or
  // returns an errno. Without a step it waits for a signal.
  using Step = std::function<int(kvm_run&)>;
  void Then(size_t vcpu, Step step);

  struct Vcpu {
    int fd = -1;
    kvm_run* run = nullptr;  // A mapping of our own.
    std::map<uint64_t, Register> registers;
    std::deque<Step> script;
    std::vector<uint32_t> features;  // Empty until KVM_ARM_VCPU_INIT.
    bool finalized = false;
    std::vector<kvm_guest_debug> debug;
    std::vector<uint32_t> mp_states;
    std::vector<kvm_vcpu_events> events;
    uint64_t Read(uint64_t id) const;
  };
  std::deque<Vcpu> vcpus;  // In place for as long as the fake lives.
  unsigned long vm_type = 0;
  std::vector<kvm_userspace_memory_region> memory;
  std::vector<kvm_irq_level> lines;
  // Of the interrupt controller: its type, and its attributes by group and
  // number, in order.
  uint32_t gic = 0;
  struct Attribute {
    uint32_t group;
    uint64_t number;
    uint64_t value;
    friend bool operator==(const Attribute&, const Attribute&) = default;
  };
  std::vector<Attribute> gic_attributes;
  std::vector<uapi::SmcccFilter> filters;

  // The system calls.
  int Open();
  int Ioctl(int fd, unsigned long request, uintptr_t argument);
  int ReadLog(char* buffer, size_t size) const;

 private:
  enum class Kind { kKvm, kVm, kVcpu, kGic };
  // Each returns what ioctl() returns, or an errno as a negative number.
  int Answer(int fd, unsigned long request, uintptr_t argument);
  int AnswerKvm(unsigned long request, uintptr_t argument);
  int AnswerVm(unsigned long request, uintptr_t argument);
  int AnswerVcpu(Vcpu& vcpu, unsigned long request, uintptr_t argument);
  int AnswerGic(unsigned long request, uintptr_t argument);
  int CreateVcpu(uintptr_t index);
  int CreateGic(kvm_create_device& request);
  int InitGic();
  int InitVcpu(Vcpu& vcpu, const kvm_vcpu_init& init);
  int ListRegisters(const Vcpu& vcpu, uint64_t* list) const;
  int AccessRegister(Vcpu& vcpu, const kvm_one_reg& reg, bool write);
  int Run(Vcpu& vcpu);
  int Capability(unsigned long number) const;
  int NewFd(Kind kind);
  std::string WhoIs(int fd) const;

  mutable std::mutex mutex_;
  std::map<size_t, int> failures_;
  std::map<unsigned long, std::deque<int>> failures_by_request_;
  std::optional<std::pair<Point, int>> failure_at_;
  std::vector<Point> calls_;
  std::map<std::pair<std::string, std::string>, int> counts_;
  std::vector<std::string> writes_;
  std::map<int, Kind> fds_;
  bool has_vm_ = false;
  bool gic_ready_ = false;
  std::atomic<bool> has_run_ = false;
};

}  // namespace vmm

#endif  // PARKVMM_TESTS_KVM_FAKE_KVM_H_
