// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

constexpr uint64_t kPipeChunk = 64 << 10;

absl::Status TooLarge(const std::string& path, uint64_t max_size) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is larger than %d bytes", path, max_size));
}

// The size to expect; a pipe has none and says 0.
absl::StatusOr<uint64_t> ExpectedSize(int fd, const std::string& path) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return ErrnoStatus(absl::StrCat("cannot stat ", path));
  }
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is a directory, not a file"));
  }
  return static_cast<uint64_t>(info.st_size);
}

// Appends up to `room` bytes and says how many; 0 is the end.
absl::StatusOr<size_t> Append(int fd, const std::string& path, size_t room,
                              std::vector<uint8_t>& bytes) {
  const size_t old_size = bytes.size();
  bytes.resize(old_size + room);
  ssize_t got = 0;
  do {
    got = read(fd, bytes.data() + old_size, room);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return ErrnoStatus(absl::StrCat("cannot read ", path));
  bytes.resize(old_size + static_cast<size_t>(got));
  return static_cast<size_t>(got);
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> ReadFile(const std::string& path,
                                              uint64_t max_size) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(absl::StrCat("cannot open ", path));
  ASSIGN_OR_RETURN(const uint64_t expected, ExpectedSize(fd.get(), path));
  if (expected > max_size) return TooLarge(path, max_size);
  const size_t chunk = std::max(expected, kPipeChunk);
  std::vector<uint8_t> bytes;
  for (size_t got = 1; got != 0;) {
    ASSIGN_OR_RETURN(got, Append(fd.get(), path, chunk, bytes));
    if (bytes.size() > max_size) return TooLarge(path, max_size);
  }
  return bytes;
}

}  // namespace vmm
