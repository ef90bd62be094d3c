// SPDX-License-Identifier: Apache-2.0
#include "tests/kvm/fake_kvm.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_format.h"
#include "vmm/kvm/arm64_registers.h"
#include "vmm/kvm/system_calls.h"

namespace vmm {
namespace {

FakeKvm* the_kvm = nullptr;

struct Known {
  unsigned long number;
  const char* name;
};
template <typename Argument>
constexpr Known Entry(uapi::Request<Argument> request) {
  return {request.number(), request.name()};
}
constexpr Known kKnown[] = {
    Entry(uapi::kGetApiVersion),   Entry(uapi::kCreateVm),
    Entry(uapi::kGetVcpuMmapSize), Entry(uapi::kCheckExtension),
    Entry(uapi::kCreateVcpu),      Entry(uapi::kSetUserMemoryRegion),
    Entry(uapi::kIrqLine),         Entry(uapi::kEnableCap),
    Entry(uapi::kCreateDevice),    Entry(uapi::kSetDeviceAttr),
    Entry(uapi::kHasDeviceAttr),   Entry(uapi::kRun),
    Entry(uapi::kSetMpState),      Entry(uapi::kGetOneReg),
    Entry(uapi::kSetOneReg),       Entry(uapi::kGetRegList),
    Entry(uapi::kSetGuestDebug),   Entry(uapi::kSetVcpuEvents),
    Entry(uapi::kArmVcpuInit),     Entry(uapi::kArmPreferredTarget),
    Entry(uapi::kArmVcpuFinalize)};

std::string NameOf(unsigned long request) {
  for (const Known& known : kKnown) {
    if (known.number == request) return known.name;
  }
  return absl::StrFormat("%#x", request);
}

template <typename Argument>
Argument& At(uintptr_t argument) {
  return *reinterpret_cast<Argument*>(argument);
}

// SVE's registers cannot be used before KVM_ARM_VCPU_FINALIZE.
bool IsSve(uint64_t id) {
  return (id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM64_SVE &&
         id != KVM_REG_ARM64_SVE_VLS;
}

bool Has(const FakeKvm::Vcpu& vcpu, unsigned feature) {
  return (vcpu.features[0] >> feature & 1) != 0;
}

}  // namespace

int OpenDevKvm() { return the_kvm->Open(); }

int KvmIoctl(int fd, unsigned long request, uintptr_t argument) {
  return the_kvm->Ioctl(fd, request, argument);
}

int ReadKernelLog(char* buffer, size_t size) {
  return the_kvm->ReadLog(buffer, size);
}

uint64_t FakeKvm::Vcpu::Read(uint64_t id) const {
  uint64_t value = 0;
  const std::vector<uint8_t>& bytes = registers.at(id).value;
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof(value)));
  return value;
}

FakeKvm::FakeKvm()
    : capabilities{{KVM_CAP_MAX_VCPUS, 512},
                   {KVM_CAP_ARM_VM_IPA_SIZE, 40},
                   {KVM_CAP_ARM_NISV_TO_USER, 1}},
      devices{KVM_DEV_TYPE_ARM_VGIC_V3} {
  the_kvm = this;
  for (const uint64_t id :
       {XRegister(0), XRegister(1), XRegister(30), kPcRegister, kMpidrEl1,
        kVbarEl1, kSctlrEl1, kTcrEl1, kTtbr0El1, kTtbr1El1}) {
    registers[id].value.resize(8);
  }
}

FakeKvm::~FakeKvm() {
  for (const Vcpu& vcpu : vcpus) munmap(vcpu.run, run_size);
  the_kvm = nullptr;
}

std::vector<std::string> FakeKvm::calls() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const Point& call : calls_) names.push_back(call.name);
  return names;
}

std::vector<FakeKvm::Point> FakeKvm::points() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

int FakeKvm::Count(const std::string& name, const std::string& who) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find({name, who});
  return found == counts_.end() ? 0 : found->second;
}

std::vector<std::string> FakeKvm::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

void FakeKvm::Forget() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
  counts_.clear();
  writes_.clear();
}

void FakeKvm::Then(size_t vcpu, Step step) {
  vcpus[vcpu].script.push_back(std::move(step));
}

int FakeKvm::NewFd(Kind kind) {
  const int fd = memfd_create("fake-kvm", MFD_CLOEXEC);
  if (fd >= 0) fds_[fd] = kind;
  return fd;
}

std::string FakeKvm::WhoIs(int fd) const {
  const auto found = fds_.find(fd);
  if (found == fds_.end()) return "nobody";
  switch (found->second) {
    case Kind::kKvm:
      return "KVM";
    case Kind::kVm:
      return "VM";
    case Kind::kGic:
      return "GIC";
    case Kind::kVcpu:
      break;
  }
  size_t index = 0;
  while (index < vcpus.size() && vcpus[index].fd != fd) ++index;
  return absl::StrFormat("vCPU %d", index);
}

int FakeKvm::Open() {
  if (open_error == 0) return NewFd(Kind::kKvm);
  errno = open_error;
  return -1;
}

int FakeKvm::ReadLog(char* buffer, size_t size) const {
  if (log_error != 0) {
    errno = log_error;
    return -1;
  }
  return static_cast<int>(log.copy(buffer, size));
}

int FakeKvm::Ioctl(int fd, unsigned long request, uintptr_t argument) {
  std::unique_lock lock(mutex_);
  const size_t index = calls_.size();
  Point point = {NameOf(request), WhoIs(fd), 0};
  point.count = ++counts_[{point.name, point.who}];
  calls_.push_back(point);
  int result = 0;
  if (auto& errors = failures_by_request_[request]; !errors.empty()) {
    result = -errors.front();
    errors.pop_front();
  } else if (failures_.contains(index)) {
    result = -failures_[index];
  } else if (failure_at_ && failure_at_->first == point) {
    result = -failure_at_->second;
  } else {
    lock.unlock();
    result = Answer(fd, request, argument);
  }
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

int FakeKvm::Answer(int fd, unsigned long request, uintptr_t argument) {
  const auto found = fds_.find(fd);
  if (found == fds_.end()) return -EBADF;
  switch (found->second) {
    case Kind::kKvm:
      return AnswerKvm(request, argument);
    case Kind::kVm:
      return AnswerVm(request, argument);
    case Kind::kGic:
      return AnswerGic(request, argument);
    case Kind::kVcpu:
      break;
  }
  const auto vcpu =
      std::find_if(vcpus.begin(), vcpus.end(),
                   [fd](const Vcpu& each) { return each.fd == fd; });
  return AnswerVcpu(*vcpu, request, argument);
}

int FakeKvm::Capability(unsigned long number) const {
  const auto found = capabilities.find(number);
  return found == capabilities.end() ? 0 : found->second;
}

int FakeKvm::AnswerKvm(unsigned long request, uintptr_t argument) {
  switch (request) {
    case uapi::kGetApiVersion.number():
      return KVM_API_VERSION;
    case uapi::kCheckExtension.number():
      return Capability(argument);
    case uapi::kGetVcpuMmapSize.number():
      return static_cast<int>(run_size);
    case uapi::kCreateVm.number(): {
      const auto limit = static_cast<unsigned long>(
          std::max(40, Capability(KVM_CAP_ARM_VM_IPA_SIZE)));
      if (argument > limit || (argument != 0 && argument < 32)) return -EINVAL;
      const int lowest = Capability(KVM_CAP_ARM_VM_IPA_SIZE);
      if (argument == 0 && lowest != 0 && lowest < 40) return -EINVAL;
      vm_type = argument;
      has_vm_ = true;
      return NewFd(Kind::kVm);
    }
    default:
      return -ENOTTY;
  }
}

int FakeKvm::AnswerVm(unsigned long request, uintptr_t argument) {
  switch (request) {
    case uapi::kCheckExtension.number():
      return Capability(argument);
    case uapi::kEnableCap.number():
      return Capability(At<kvm_enable_cap>(argument).cap) > 0 ? 0 : -EINVAL;
    case uapi::kCreateVcpu.number():
      return CreateVcpu(argument);
    case uapi::kSetUserMemoryRegion.number():
      memory.push_back(At<kvm_userspace_memory_region>(argument));
      return 0;
    case uapi::kIrqLine.number():
      if (!gic_ready_) return -ENXIO;
      lines.push_back(At<kvm_irq_level>(argument));
      return 0;
    case uapi::kCreateDevice.number():
      return CreateGic(At<kvm_create_device>(argument));
    case uapi::kHasDeviceAttr.number():
    case uapi::kSetDeviceAttr.number(): {
      const auto& attribute = At<kvm_device_attr>(argument);
      if (!smccc_filter || attribute.group != uapi::kArmVmSmcccControl ||
          attribute.attr != uapi::kArmVmSmcccFilter) {
        return -ENXIO;
      }
      if (request == uapi::kHasDeviceAttr.number()) return 0;
      if (has_run_) return -EBUSY;
      filters.push_back(At<uapi::SmcccFilter>(attribute.addr));
      return 0;
    }
    case uapi::kArmPreferredTarget.number():
      if (!preferred_target) return -ENODEV;
      At<kvm_vcpu_init>(argument) = {};
      At<kvm_vcpu_init>(argument).target = 5;  // Generic v8.
      return 0;
    default:
      return -ENOTTY;
  }
}

int FakeKvm::CreateVcpu(uintptr_t index) {
  if (gic_ready_) return -EBUSY;
  if (index != vcpus.size()) return -EEXIST;
  const int fd = NewFd(Kind::kVcpu);
  if (ftruncate(fd, static_cast<off_t>(run_size)) != 0) return -EIO;
  void* const run =
      mmap(nullptr, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  Vcpu& vcpu = vcpus.emplace_back();
  vcpu.fd = fd;
  vcpu.run = static_cast<kvm_run*>(run);
  vcpu.registers = registers;
  const uint64_t mpidr = uint64_t{1} << 31 | index >> 4 << 8 | (index & 0xf);
  Register& reg = vcpu.registers[kMpidrEl1];
  reg = {std::vector<uint8_t>(sizeof(mpidr)), EINVAL};
  std::memcpy(reg.value.data(), &mpidr, sizeof(mpidr));
  return fd;
}

int FakeKvm::CreateGic(kvm_create_device& request) {
  if (!devices.contains(request.type)) return -ENODEV;
  if ((request.flags & KVM_CREATE_DEVICE_TEST) != 0) return 0;
  if (gic != 0) return -EEXIST;
  gic = request.type;
  request.fd = static_cast<uint32_t>(NewFd(Kind::kGic));
  return 0;
}

int FakeKvm::AnswerGic(unsigned long request, uintptr_t argument) {
  if (request != uapi::kSetDeviceAttr.number()) return -ENOTTY;
  const auto& attribute = At<kvm_device_attr>(argument);
  uint64_t value = 0;
  switch (attribute.group) {
    case KVM_DEV_ARM_VGIC_GRP_ADDR:
      value = At<uint64_t>(attribute.addr);
      break;
    case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
      value = At<uint32_t>(attribute.addr);
      if (value < 64 || value > 1024 || value % 32 != 0) return -EINVAL;
      break;
    case KVM_DEV_ARM_VGIC_GRP_CTRL:
      if (const int error = InitGic(); error != 0) return error;
      break;
    default:
      return -ENXIO;
  }
  gic_attributes.push_back({attribute.group, attribute.attr, value});
  return 0;
}

// A GICv3 wants a redistributor for each vCPU before it is initialised.
int FakeKvm::InitGic() {
  if (vcpus.empty()) return -ENODEV;
  uint64_t redistributors = 0;
  for (const Attribute& attribute : gic_attributes) {
    if (attribute.group == KVM_DEV_ARM_VGIC_GRP_ADDR &&
        attribute.number == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION) {
      redistributors += attribute.value >> 52;
    }
  }
  if (gic == KVM_DEV_TYPE_ARM_VGIC_V3 && redistributors < vcpus.size()) {
    return -EINVAL;
  }
  gic_ready_ = true;
  return 0;
}

int FakeKvm::AnswerVcpu(Vcpu& vcpu, unsigned long request, uintptr_t argument) {
  if (request == uapi::kArmVcpuInit.number()) {
    return InitVcpu(vcpu, At<kvm_vcpu_init>(argument));
  }
  if (vcpu.features.empty()) return -ENOEXEC;
  switch (request) {
    case uapi::kArmVcpuFinalize.number():
      if (At<int>(argument) != KVM_ARM_VCPU_SVE ||
          !Has(vcpu, KVM_ARM_VCPU_SVE)) {
        return -EINVAL;
      }
      vcpu.finalized = true;
      return 0;
    case uapi::kGetRegList.number():
      return ListRegisters(vcpu, &At<uint64_t>(argument));
    case uapi::kGetOneReg.number():
      return AccessRegister(vcpu, At<kvm_one_reg>(argument), false);
    case uapi::kSetOneReg.number():
      return AccessRegister(vcpu, At<kvm_one_reg>(argument), true);
    case uapi::kSetGuestDebug.number():
      vcpu.debug.push_back(At<kvm_guest_debug>(argument));
      return 0;
    case uapi::kSetMpState.number():
      vcpu.mp_states.push_back(At<kvm_mp_state>(argument).mp_state);
      return 0;
    case uapi::kSetVcpuEvents.number():
      vcpu.events.push_back(At<kvm_vcpu_events>(argument));
      return 0;
    case uapi::kRun.number():
      return Run(vcpu);
    default:
      return -ENOTTY;
  }
}

int FakeKvm::InitVcpu(Vcpu& vcpu, const kvm_vcpu_init& init) {
  constexpr unsigned kAddress = 1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS;
  constexpr unsigned kGeneric = 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
  const uint32_t features = init.features[0];
  if (init.target != 5) return -EINVAL;
  if ((features >> KVM_ARM_VCPU_SVE & 1) != 0 &&
      Capability(KVM_CAP_ARM_SVE) <= 0) {
    return -EINVAL;
  }
  if (((features & kAddress) != 0) != ((features & kGeneric) != 0)) {
    return -EINVAL;
  }
  vcpu.features.assign(std::begin(init.features), std::end(init.features));
  return 0;
}

int FakeKvm::ListRegisters(const Vcpu& vcpu, uint64_t* list) const {
  const uint64_t room = list[0];
  list[0] = vcpu.registers.size();
  if (room < list[0]) return -E2BIG;
  for (const auto& [id, reg] : vcpu.registers) *++list = id;
  return 0;
}

int FakeKvm::AccessRegister(Vcpu& vcpu, const kvm_one_reg& reg, bool write) {
  const auto found = vcpu.registers.find(reg.id);
  if (found == vcpu.registers.end()) return -ENOENT;
  if (IsSve(reg.id) && !vcpu.finalized) return -EPERM;
  std::vector<uint8_t>& value = found->second.value;
  if (!write) {
    std::memcpy(&At<uint8_t>(reg.addr), value.data(), value.size());
    return 0;
  }
  if (found->second.write_error != 0) return -found->second.write_error;
  std::memcpy(value.data(), &At<uint8_t>(reg.addr), value.size());
  const std::lock_guard lock(mutex_);
  writes_.push_back(absl::StrFormat("%x=%x", reg.id, vcpu.Read(reg.id)));
  return 0;
}

// As KVM does it: signals are held back from before immediate_exit is looked at
// until the wait for them begins, so that none is lost between the two.
int FakeKvm::Run(Vcpu& vcpu) {
  if (!gic_ready_) return -ENODEV;
  if (Has(vcpu, KVM_ARM_VCPU_SVE) && !vcpu.finalized) return -EPERM;
  has_run_ = true;
  sigset_t kick, before;
  sigemptyset(&kick);
  sigaddset(&kick, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &kick, &before);
  int result = -EINTR;
  if (__atomic_load_n(&vcpu.run->immediate_exit, __ATOMIC_SEQ_CST) == 0) {
    if (vcpu.script.empty()) {
      ppoll(nullptr, 0, nullptr, &before);
    } else {
      const Step step = vcpu.script.front();
      vcpu.script.pop_front();
      result = -step(*vcpu.run);
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

}  // namespace vmm
