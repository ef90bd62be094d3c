// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/errno_status.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace vmm {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
    case EISDIR:
    case ETXTBSY:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case EIO:
    case EPIPE:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kUnknown;
  }
}

}  // namespace

std::string DescribeErrno(int error) {
  const char* const remedy =
      error == EMFILE ? "; raise their limit with ulimit -n" : "";
  return absl::StrCat(std::strerror(error), remedy);
}

absl::Status ErrnoStatus(absl::string_view what) {
  const int error = errno;
  return {CodeOf(error), absl::StrCat(what, ": ", DescribeErrno(error))};
}

}  // namespace vmm
