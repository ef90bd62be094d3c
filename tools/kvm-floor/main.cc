// SPDX-License-Identifier: Apache-2.0
// What KVM itself costs on this host, with nothing of ours around it: loops
// that do one thing, and a guest of three instructions. What vmm's own share
// is, is what tools/bench-micro finds above this.
//
// Prints "[floor] NAME nanoseconds N of M" per figure.
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "vmm/kvm/uapi.h"

namespace {

namespace uapi = vmm::uapi;

constexpr uint64_t kCode = 0x40000000;
constexpr uint64_t kDevice = 0x0c000000;
constexpr uint64_t kData = 0x50000000;
constexpr size_t kDataPages = 512;
constexpr size_t kPage = 4096;

// x1 is the device's address, x0 the function id. Each loops for ever.
constexpr uint32_t kReadLoop[] = {0xb9400022,   // ldr w2, [x1]
                                  0x17ffffff};  // b .-4
constexpr uint32_t kWriteLoop[] = {0xb9000022,  // str w2, [x1]
                                   0x17ffffff};
constexpr uint32_t kStoreLoop[] = {0xf9000422,  // str x2, [x1, #8]
                                   0x17ffffff};
constexpr uint32_t kCallLoop[] = {0xd4000002,  // hvc #0
                                  0x17ffffff};
constexpr uint64_t kPsciVersion = 0x84000000;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(69);
}

int Check(int result, const char* what) {
  if (result < 0) Die(what);
  return result;
}

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// One round: the median of many batches, so that what the host does now and
// then is in none of the figures. As guest-stub/micro_bench.cc does it.
template <typename Body>
void Measure(const char* name, Body body) {
  constexpr int64_t kRounds = 10;
  std::array<int64_t, 101> samples;
  for (int64_t& sample : samples) {
    const int64_t begin = Now();
    for (int64_t i = 0; i < kRounds; ++i) body();
    sample = Now() - begin;
  }
  std::sort(samples.begin(), samples.end());
  std::printf("[floor] %s nanoseconds %lld of %zu\n", name,
              static_cast<long long>(samples[samples.size() / 2] / kRounds),
              samples.size());
}

constexpr uint64_t CoreRegister(size_t offset) {
  return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
         offset / sizeof(uint32_t);
}

class Guest {
 public:
  Guest() {
    const int kvm = Check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    vm_ = Check(RawIoctl(kvm, uapi::kCreateVm, 0), "KVM_CREATE_VM");
    code_ = mmap(nullptr, kPage, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (code_ == MAP_FAILED) Die("mmap");
    data_ = mmap(nullptr, kDataPages * kPage, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) Die("mmap");
    SetSlot(0, kCode, kPage, code_, 0);
    SetData(kDataPages * kPage, 0);
    vcpu_ = Check(RawIoctl(vm_, uapi::kCreateVcpu, 0), "KVM_CREATE_VCPU");
    kvm_vcpu_init init = {};
    Check(RawIoctl(vm_, uapi::kArmPreferredTarget, &init), "preferred target");
    init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
    Check(RawIoctl(vcpu_, uapi::kArmVcpuInit, &init), "KVM_ARM_VCPU_INIT");
    const int size =
        Check(RawIoctl(kvm, uapi::kGetVcpuMmapSize, 0), "mmap size");
    void* const run = mmap(nullptr, static_cast<size_t>(size),
                           PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_, 0);
    if (run == MAP_FAILED) Die("mmap");
    run_ = static_cast<kvm_run*>(run);
    ForwardPsci();
  }

  void Load(const uint32_t (&code)[2], uint64_t x0, uint64_t x1) {
    std::memcpy(code_, code, sizeof(code));
    __builtin___clear_cache(static_cast<char*>(code_),
                            static_cast<char*>(code_) + sizeof(code));
    Set(kPc, kCode);
    Set(X(0), x0);
    Set(X(1), x1);
  }
  // Of the second slot; 0 deletes it.
  void SetData(size_t size, uint32_t flags) {
    SetSlot(1, kData, size, data_, flags);
  }
  // Of `pages` pages from the `first` one on.
  void Protect(size_t first, size_t pages, int protection) {
    Check(mprotect(static_cast<char*>(data_) + first * kPage, pages * kPage,
                   protection),
          "mprotect");
  }
  void SetDebug(uint32_t control) {
    kvm_guest_debug debug = {};
    debug.control = control;
    // EL1, stores, 2 MiB.
    debug.arch.dbg_wcr[0] = 1 | 1 << 1 | 2 << 3 | 0xff << 5 | 21 << 24;
    debug.arch.dbg_wvr[0] = kData;
    Check(RawIoctl(vcpu_, uapi::kSetGuestDebug, &debug), "KVM_SET_GUEST_DEBUG");
  }
  // Into a store that the host's mapping refuses.
  void RunIntoFault() {
    if (RawIoctl(vcpu_, uapi::kRun, 0) == 0 || errno != EFAULT)
      Die("no EFAULT");
  }
  void Run(uint32_t expected) {
    Check(RawIoctl(vcpu_, uapi::kRun, 0), "KVM_RUN");
    if (run_->exit_reason != expected) {
      std::fprintf(stderr, "exit reason %u, not %u\n", run_->exit_reason,
                   expected);
      std::exit(70);
    }
  }
  void RunNothing() {
    run_->immediate_exit = 1;
    static_cast<void>(RawIoctl(vcpu_, uapi::kRun, 0));
    run_->immediate_exit = 0;
  }
  uint64_t Get(uint64_t id) { return Access(uapi::kGetOneReg, id, 0); }
  void Set(uint64_t id, uint64_t value) { Access(uapi::kSetOneReg, id, value); }

  static constexpr uint64_t kPc =
      CoreRegister(offsetof(kvm_regs, regs) + offsetof(user_pt_regs, pc));
  static constexpr uint64_t X(unsigned index) {
    return CoreRegister(offsetof(kvm_regs, regs) +
                        offsetof(user_pt_regs, regs) + index * 8);
  }

 private:
  void SetSlot(uint32_t slot, uint64_t address, size_t size, void* memory,
               uint32_t flags) {
    kvm_userspace_memory_region region = {};
    region.slot = slot;
    region.flags = flags;
    region.guest_phys_addr = address;
    region.memory_size = size;
    region.userspace_addr = reinterpret_cast<uintptr_t>(memory);
    Check(RawIoctl(vm_, uapi::kSetUserMemoryRegion, &region), "memory region");
  }
  uint64_t Access(uapi::Request<kvm_one_reg> request, uint64_t id,
                  uint64_t value) {
    kvm_one_reg reg = {id, reinterpret_cast<uintptr_t>(&value)};
    Check(RawIoctl(vcpu_, request, &reg), request.name());
    return value;
  }
  void ForwardPsci() {
    uapi::SmcccFilter filter = {
        kPsciVersion, 0x20, uapi::kSmcccFilterForwardToUser, {}};
    kvm_device_attr attribute = {};
    attribute.group = uapi::kArmVmSmcccControl;
    attribute.attr = uapi::kArmVmSmcccFilter;
    attribute.addr = reinterpret_cast<uintptr_t>(&filter);
    Check(RawIoctl(vm_, uapi::kSetDeviceAttr, &attribute), "SMCCC filter");
  }

  int vm_ = -1;
  int vcpu_ = -1;
  void* code_ = nullptr;
  void* data_ = nullptr;
  kvm_run* run_ = nullptr;
};

// What there is to choose from for seeing a guest's stores to RAM.
void MeasureGuarding(Guest& guest) {
  constexpr uint32_t kWatch = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW;
  constexpr uint32_t kStep = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
  guest.Load(kStoreLoop, 0, kData);
  guest.SetDebug(kStep);
  guest.Run(KVM_EXIT_DEBUG);
  Measure("stepped", [&] { guest.Run(KVM_EXIT_DEBUG); });
  Measure("set_guest_debug", [&] { guest.SetDebug(kWatch); });
  guest.Load(kStoreLoop, 0, kData);
  Measure("watched_store", [&] { guest.Run(KVM_EXIT_DEBUG); });
  guest.SetDebug(0);
  guest.Protect(0, kDataPages, PROT_READ);
  Measure("refused_store", [&] { guest.RunIntoFault(); });
  Measure("protect_page_twice", [&] {
    guest.Protect(8, 1, PROT_READ | PROT_WRITE);
    guest.Protect(8, 1, PROT_READ);
  });
  Measure("protect_all_twice", [&] {
    guest.Protect(0, kDataPages, PROT_READ | PROT_WRITE);
    guest.Protect(0, kDataPages, PROT_READ);
  });
  Measure("slot_replaced", [&] {
    guest.SetData(0, 0);
    guest.SetData(kDataPages * kPage, KVM_MEM_READONLY);
  });
  Measure("read_only_slot_store", [&] { guest.Run(KVM_EXIT_MMIO); });
  guest.RunNothing();
}

}  // namespace

int main() {
  Guest guest;
  Measure("clock_gettime", [] { Now(); });
  Measure("get_one_reg", [&] { guest.Get(Guest::X(1)); });
  Measure("set_one_reg", [&] { guest.Set(Guest::X(1), kDevice); });
  Measure("run_immediate_exit", [&] { guest.RunNothing(); });
  guest.Load(kReadLoop, 0, kDevice);
  Measure("mmio_read", [&] { guest.Run(KVM_EXIT_MMIO); });
  guest.Run(KVM_EXIT_MMIO);
  guest.RunNothing();  // Completes the read before the code changes.
  guest.Load(kWriteLoop, 0, kDevice);
  Measure("mmio_write", [&] { guest.Run(KVM_EXIT_MMIO); });
  guest.RunNothing();
  guest.Load(kCallLoop, kPsciVersion, 0);
  Measure("hypercall", [&] { guest.Run(KVM_EXIT_HYPERCALL); });
  Measure("hypercall_answered", [&] {
    guest.Run(KVM_EXIT_HYPERCALL);
    guest.Set(Guest::X(0), kPsciVersion);
  });
  MeasureGuarding(guest);
  return 0;
}
