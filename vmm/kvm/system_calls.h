// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_SYSTEM_CALLS_H_
#define PARKVMM_VMM_KVM_SYSTEM_CALLS_H_

#include <cstddef>
#include <cstdint>

namespace vmm {

// The system calls through which this room reaches the host's kernel. Each
// returns -1 and sets errno on error. system_calls.cc makes them; tests/kvm
// links functions of its own in its place, and so needs no KVM.

// Opens /dev/kvm.
int OpenDevKvm();
// Calls ioctl().
int KvmIoctl(int fd, unsigned long request, uintptr_t argument);
// Copies the end of the kernel's log. Returns how much was copied.
int ReadKernelLog(char* buffer, size_t size);

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_SYSTEM_CALLS_H_
