// SPDX-License-Identifier: Apache-2.0
// KVM's API as of Linux 6.4: the numbers of the requests, and what Debian 12's
// headers (6.1) lack. uapi_layout.h checks what is taken from <linux/kvm.h>.
#ifndef PARKVMM_VMM_KVM_UAPI_H_
#define PARKVMM_VMM_KVM_UAPI_H_

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "vmm/kvm/system_calls.h"
#include "vmm/kvm/uapi_layout.h"

namespace vmm::uapi {

// A request to KVM: its name, for messages, and the number that is sent. The
// number is written out here and never taken from <linux/kvm.h>, which computes
// it from the C++ size of a structure. Bit 30 says that KVM reads an Argument,
// bit 31 that it writes one; bits 16 to 29 hold its size, bits 8 to 15 are
// 0xae. An Argument of void stands for a plain value.
template <typename Argument>
class Request {
 public:
  consteval Request(const char* name, unsigned long number)
      : name_(name), number_(number) {
    size_t size = 0;
    // cppcheck-suppress sizeofVoid ; not compiled for void
    if constexpr (!std::is_void_v<Argument>) size = sizeof(Argument);
    if ((number >> 8 & 0xff) != 0xae || (number >> 16 & 0x3fff) != size) {
      TheSizeInTheNumberIsNotTheArguments();
    }
  }
  constexpr const char* name() const { return name_; }
  constexpr unsigned long number() const { return number_; }

 private:
  // Stops the compiler, because it is not constexpr.
  static void TheSizeInTheNumberIsNotTheArguments() {}

  const char* name_;
  unsigned long number_;
};

// Sends a request once. Returns what ioctl() returns, and leaves errno.
inline int RawIoctl(int fd, Request<void> request, unsigned long value) {
  return KvmIoctl(fd, request.number(), value);
}
template <typename Argument>
int RawIoctl(int fd, Request<Argument> request,
             std::type_identity_t<Argument>* argument) {
  return KvmIoctl(fd, request.number(), reinterpret_cast<uintptr_t>(argument));
}

// Documentation/virt/kvm/api.rst. First those of /dev/kvm.
inline constexpr Request<void> kGetApiVersion("KVM_GET_API_VERSION", 0xae00);
inline constexpr Request<void> kCreateVm("KVM_CREATE_VM", 0xae01);
inline constexpr Request<void> kGetVcpuMmapSize("KVM_GET_VCPU_MMAP_SIZE",
                                                0xae04);
// Of /dev/kvm and of a VM.
inline constexpr Request<void> kCheckExtension("KVM_CHECK_EXTENSION", 0xae03);
// Of a VM.
inline constexpr Request<void> kCreateVcpu("KVM_CREATE_VCPU", 0xae41);
inline constexpr Request<kvm_userspace_memory_region> kSetUserMemoryRegion(
    "KVM_SET_USER_MEMORY_REGION", 0x4020ae46);
inline constexpr Request<kvm_irq_level> kIrqLine("KVM_IRQ_LINE", 0x4008ae61);
inline constexpr Request<kvm_enable_cap> kEnableCap("KVM_ENABLE_CAP",
                                                    0x4068aea3);
inline constexpr Request<kvm_create_device> kCreateDevice("KVM_CREATE_DEVICE",
                                                          0xc00caee0);
// Of a VM and of a device.
inline constexpr Request<kvm_device_attr> kSetDeviceAttr("KVM_SET_DEVICE_ATTR",
                                                         0x4018aee1);
inline constexpr Request<kvm_device_attr> kHasDeviceAttr("KVM_HAS_DEVICE_ATTR",
                                                         0x4018aee3);
// Of a vCPU.
inline constexpr Request<void> kRun("KVM_RUN", 0xae80);
inline constexpr Request<kvm_mp_state> kSetMpState("KVM_SET_MP_STATE",
                                                   0x4004ae99);
inline constexpr Request<kvm_one_reg> kGetOneReg("KVM_GET_ONE_REG", 0x4010aeab);
inline constexpr Request<kvm_one_reg> kSetOneReg("KVM_SET_ONE_REG", 0x4010aeac);
// Points to the number of ids, which that many ids follow. kvm_reg_list is not
// used: Linux 6.1.192 declares its flexible array behind an empty structure,
// with which it is 16 bytes large in C++.
inline constexpr Request<uint64_t> kGetRegList("KVM_GET_REG_LIST", 0xc008aeb0);
#if defined(PARKVMM_ARM64_UAPI)
inline constexpr Request<kvm_guest_debug> kSetGuestDebug("KVM_SET_GUEST_DEBUG",
                                                         0x4208ae9b);
inline constexpr Request<kvm_vcpu_events> kSetVcpuEvents("KVM_SET_VCPU_EVENTS",
                                                         0x4040aea0);
inline constexpr Request<kvm_vcpu_init> kArmVcpuInit("KVM_ARM_VCPU_INIT",
                                                     0x4020aeae);
// Of a VM.
inline constexpr Request<kvm_vcpu_init> kArmPreferredTarget(
    "KVM_ARM_PREFERRED_TARGET", 0x8020aeaf);
// Of a vCPU.
inline constexpr Request<int> kArmVcpuFinalize("KVM_ARM_VCPU_FINALIZE",
                                               0x4004aec2);
#endif

// Documentation/virt/kvm/devices/vm.rst, "KVM_ARM_VM_SMCCC_CTRL".
inline constexpr uint32_t kArmVmSmcccControl = 0;  // Attribute group.
inline constexpr uint64_t kArmVmSmcccFilter = 0;   // Attribute.
inline constexpr uint8_t kSmcccFilterDeny = 1;
inline constexpr uint8_t kSmcccFilterForwardToUser = 2;
struct SmcccFilter {
  uint32_t base;
  uint32_t functions;
  uint8_t action;
  uint8_t pad[15];
};
static_assert(sizeof(SmcccFilter) == 24);

// kvm_run.hypercall.flags: an SMC, not an HVC, was trapped.
inline constexpr uint32_t kHypercallExitSmc = 1u << 0;

// KVM_EXIT_SYSTEM_EVENT data[0] on KVM_SYSTEM_EVENT_RESET.
inline constexpr uint64_t kSystemEventResetFlagPsciReset2 = 1u << 0;

}  // namespace vmm::uapi

#endif  // PARKVMM_VMM_KVM_UAPI_H_
