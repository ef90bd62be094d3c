// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_IOCTL_H_
#define PARKVMM_VMM_KVM_IOCTL_H_

#include <cerrno>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "vmm/base/errno_status.h"
#include "vmm/kvm/uapi.h"

namespace vmm {

// Returns "KVM ioctl KVM_RUN: Bad file descriptor" for errno and kRun.
template <typename Argument>
absl::Status IoctlError(uapi::Request<Argument> request) {
  return ErrnoStatus(absl::StrCat("KVM ioctl ", request.name()));
}

// Sends a request and repeats it over EINTR. Returns the ioctl's own result, or
// a Status that names the request.
template <typename Argument, typename Value>
absl::StatusOr<int> Ioctl(int fd, uapi::Request<Argument> request,
                          Value value) {
  int result;
  do {
    result = RawIoctl(fd, request, value);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return IoctlError(request);
  return result;
}

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_IOCTL_H_
