// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_IOCTL_H_
#define PARKVMM_VMM_KVM_IOCTL_H_

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vmm/base/errno_status.h"

namespace vmm {

// An ioctl repeated over EINTR. Failure becomes a Status that names the
// request; the result is the ioctl's own.
template <typename Argument>
absl::StatusOr<int> Ioctl(int fd, absl::string_view name, unsigned long request,
                          Argument argument) {
  int result;
  do {
    result = ioctl(fd, request, argument);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return ErrnoStatus(absl::StrCat("KVM ioctl ", name));
  return result;
}

// KVM_IOCTL(fd, KVM_CREATE_VM, 0) names itself.
#define KVM_IOCTL(fd, request, argument) \
  ::vmm::Ioctl(fd, #request, request, argument)

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_IOCTL_H_
