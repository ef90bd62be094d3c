// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/ioctl.h"

#include <string>

#include "vmm/base/errno_status.h"

namespace vmm {

absl::Status KvmError(absl::string_view what) {
  const int error = errno;
  const std::string message = absl::StrCat(what, ": ", DescribeErrno(error));
  switch (error) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace vmm
