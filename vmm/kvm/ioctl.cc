// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/ioctl.h"

#include <cstring>

namespace vmm {

absl::Status KvmError(absl::string_view what) {
  const int error = errno;
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
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
