// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_IOCTL_H_
#define PARKVMM_VMM_KVM_IOCTL_H_

#include <cerrno>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vmm/kvm/uapi.h"

namespace vmm {

// Returns "WHAT: Bad file descriptor", for errno, of a system call that must
// not fail: kResourceExhausted if the host has too little memory or too few
// file descriptors, else kInternal. Callers that know an error to mean that the
// host's KVM lacks something return kFailedPrecondition in its place.
[[gnu::cold]] absl::Status KvmError(absl::string_view what);

// Returns "KVM ioctl KVM_RUN: Bad file descriptor" for errno and kRun, as
// KvmError().
template <typename Argument>
absl::Status IoctlError(uapi::Request<Argument> request) {
  return KvmError(absl::StrCat("KVM ioctl ", request.name()));
}

// What a request takes: a number, or a pointer to its structure.
template <typename Argument>
using Payload = std::conditional_t<std::is_void_v<Argument>, unsigned long,
                                   std::add_pointer_t<Argument>>;

// Sends a request and repeats it over EINTR. Returns the ioctl's own result, or
// -1 and leaves errno.
template <typename Argument>
int PatientIoctl(int fd, uapi::Request<Argument> request,
                 Payload<Argument> value) {
  int result;
  do {
    result = RawIoctl(fd, request, value);
  } while (result < 0 && errno == EINTR);
  return result;
}

// As PatientIoctl(), with IoctlError() for an error.
template <typename Argument>
absl::StatusOr<int> Ioctl(int fd, uapi::Request<Argument> request,
                          Payload<Argument> value) {
  const int result = PatientIoctl(fd, request, value);
  if (result < 0) return IoctlError(request);
  return result;
}

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_IOCTL_H_
