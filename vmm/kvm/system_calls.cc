// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/system_calls.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/klog.h>

namespace vmm {

int OpenDevKvm() { return open("/dev/kvm", O_RDWR | O_CLOEXEC); }

int KvmIoctl(int fd, unsigned long request, uintptr_t argument) {
  return ioctl(fd, request, argument);
}

int ReadKernelLog(char* buffer, size_t size) {
  constexpr int kReadAll = 3;  // SYSLOG_ACTION_READ_ALL.
  return klogctl(kReadAll, buffer, static_cast<int>(size));
}

}  // namespace vmm
