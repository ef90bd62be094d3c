// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/file.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

constexpr uint64_t kPipeChunk = 64 << 10;
constexpr int kOpenAgainMs = 50;

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

absl::Status TooSlow(const std::string& path, int waited_ms) {
  return absl::InvalidArgumentError(
      absl::StrFormat("cannot read %s: waited %d s for its writer; write what "
                      "it holds to a file first",
                      path, waited_ms / 1000));
}

// Appends up to `room` bytes and says how many; 0 is the end.
absl::StatusOr<size_t> Append(int fd, const std::string& path, size_t room,
                              std::vector<uint8_t>& bytes) {
  const size_t old_size = bytes.size();
  bytes.resize(old_size + room);
  ssize_t got = -1;
  do {
    pollfd writer = {fd, POLLIN, 0};
    const int ready = poll(&writer, 1, kPatienceMs);
    if (ready == 0) return TooSlow(path, kPatienceMs);
    if (ready > 0) got = read(fd, bytes.data() + old_size, room);
  } while (got < 0 && (errno == EINTR || errno == EAGAIN));
  if (got < 0) return ErrnoStatus(absl::StrCat("cannot read ", path));
  bytes.resize(old_size + static_cast<size_t>(got));
  return static_cast<size_t>(got);
}

absl::Status CannotWrite(const std::string& path) {
  return ErrnoStatus(absl::StrCat("cannot write ", path));
}

// Whether that is why open() failed; errno stays.
bool LacksReader(const std::string& path) {
  const int error = errno;
  struct stat info = {};
  const bool is_pipe = stat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
  errno = error;
  return is_pipe && error == ENXIO;
}

std::string TemporaryFor(const std::string& path) { return path + ".tmp"; }

// Returns whether a new file may take the place of `path`: it is a regular
// file, or nothing at all. An error says why nothing can be written there.
absl::StatusOr<bool> IsReplaceable(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return true;
    return CannotWrite(path);
  }
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return CannotWrite(path);
  }
  return S_ISREG(info.st_mode);
}

// Returns the file that a symbolic link leads to, so that the link stays.
std::string Resolved(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(
      realpath(path.c_str(), nullptr), free);
  return real ? std::string(real.get()) : path;
}

absl::StatusOr<UniqueFd> OpenTemporary(const std::string& temporary) {
  UniqueFd file(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file.valid()) return CannotWrite(temporary);
  return file;
}

absl::Status WriteTemporary(const std::string& temporary,
                            absl::string_view content) {
  ASSIGN_OR_RETURN(UniqueFd file, OpenTemporary(temporary));
  RETURN_IF_ERROR(WriteTo(file.get(), temporary, content));
  // Some file systems report a full disk only here.
  if (close(file.Release()) != 0) return CannotWrite(temporary);
  return absl::OkStatus();
}

absl::Status Replace(const std::string& path, absl::string_view content) {
  const std::string temporary = TemporaryFor(path);
  absl::Status status = WriteTemporary(temporary, content);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = CannotWrite(path);
  }
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

}  // namespace

absl::Status WriteAll(
    const std::string& path, absl::string_view content,
    absl::FunctionRef<ssize_t(const char* bytes, size_t size)> write_some) {
  const size_t size = content.size();
  while (!content.empty()) {
    const ssize_t taken = write_some(content.data(), content.size());
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0) return CannotWrite(path);
    if (taken == 0) {
      return absl::DataLossError(absl::StrFormat(
          "cannot write %s: only %d of %d bytes could be written", path,
          size - content.size(), size));
    }
    content.remove_prefix(static_cast<size_t>(taken));
  }
  return absl::OkStatus();
}

absl::Status WriteTo(int fd, const std::string& path,
                     absl::string_view content) {
  // A pipe that polls writable takes PIPE_BUF without blocking. So fstat() is
  // not needed for a line, which a vCPU's thread may write and fstat() not
  // call.
  struct stat info = {};
  const bool is_short = content.size() <= PIPE_BUF;
  const bool takes_all =
      is_short || (fstat(fd, &info) == 0 && S_ISREG(info.st_mode));
  const size_t most = takes_all ? content.size() : PIPE_BUF;
  bool stalled = false;
  const auto write_some = [&, fd, most](const char* bytes, size_t size) {
    pollfd reader = {fd, POLLOUT, 0};
    const int ready = poll(&reader, 1, kPatienceMs);
    stalled = ready == 0;
    if (ready <= 0) return ssize_t{-1};
    const ssize_t taken = write(fd, bytes, std::min(size, most));
    if (taken < 0 && errno == EAGAIN) errno = EINTR;  // Tried again.
    return taken;
  };
  absl::Status status = WriteAll(path, content, write_some);
  if (!stalled) return status;
  return absl::DeadlineExceededError(
      absl::StrFormat("cannot write %s: its reader took nothing for %d s", path,
                      kPatienceMs / 1000));
}

int OwnStream(const std::string& path) {
  if (path == "-") return STDOUT_FILENO;
  struct stat named = {};
  if (stat(path.c_str(), &named) != 0) return -1;
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat own = {};
    if (fstat(fd, &own) == 0 && own.st_dev == named.st_dev &&
        own.st_ino == named.st_ino) {
      return fd;
    }
  }
  return -1;
}

absl::Status WriteFile(const std::string& path, absl::string_view content) {
  if (const int own = OwnStream(path); own >= 0) {
    return WriteTo(own, path, content);
  }
  ASSIGN_OR_RETURN(const bool replaceable, IsReplaceable(path));
  if (replaceable) return Replace(Resolved(path), content);
  UniqueFd file;
  // A pipe that nobody reads yet says so.
  for (int waited_ms = 0;; waited_ms += kOpenAgainMs) {
    file = UniqueFd(open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.valid()) break;
    if (!LacksReader(path)) return CannotWrite(path);
    if (waited_ms >= kPatienceMs) {
      return absl::DeadlineExceededError(
          absl::StrFormat("cannot write %s: waited %d s for its reader", path,
                          kPatienceMs / 1000));
    }
    usleep(kOpenAgainMs * 1000);
  }
  return WriteTo(file.get(), path, content);
}

absl::Status WriteFile(const std::string& path,
                       absl::Span<const uint8_t> content) {
  return WriteFile(
      path, absl::string_view(reinterpret_cast<const char*>(content.data()),
                              content.size()));
}

absl::Status CheckWritable(const std::string& path) {
  if (OwnStream(path) >= 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool replaceable, IsReplaceable(path));
  if (!replaceable) {
    return access(path.c_str(), W_OK) == 0 ? absl::OkStatus()
                                           : CannotWrite(path);
  }
  const std::string temporary = TemporaryFor(Resolved(path));
  RETURN_IF_ERROR(OpenTemporary(temporary).status());
  unlink(temporary.c_str());
  return absl::OkStatus();
}

absl::StatusOr<FileStream> FileStream::Open(std::string path, Start start) {
  if (const int own = OwnStream(path); own >= 0) {
    UniqueFd copy(fcntl(own, F_DUPFD_CLOEXEC, 0));
    if (!copy.valid()) return CannotWrite(path);
    return FileStream(std::move(path), std::move(copy));
  }
  const int where = start == Start::kAtEnd ? O_APPEND : O_TRUNC;
  UniqueFd fd(open(path.c_str(),
                   O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | where, 0666));
  if (!fd.valid() && LacksReader(path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is a pipe that nobody reads; start its reader first"));
  }
  if (!fd.valid()) return CannotWrite(path);
  return FileStream(std::move(path), std::move(fd));
}

absl::Status FileStream::Write(absl::string_view content) {
  if (status_.ok()) status_ = WriteTo(fd_.get(), path_, content);
  return status_;
}

absl::StatusOr<std::vector<uint8_t>> ReadFile(const std::string& path,
                                              uint64_t max_size) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(kMostReadMs);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(absl::StrCat("cannot open ", path));
  ASSIGN_OR_RETURN(const uint64_t expected, ExpectedSize(fd.get(), path));
  if (expected > max_size) return TooLarge(path, max_size);
  std::vector<uint8_t> bytes;
  // With room for a chunk more, the end is found without a second allocation.
  if (expected != 0) bytes.reserve(expected + kPipeChunk);
  size_t chunk = std::max(expected, kPipeChunk);
  for (size_t got = 1; got != 0; chunk = kPipeChunk) {
    ASSIGN_OR_RETURN(got, Append(fd.get(), path, chunk, bytes));
    if (bytes.size() > max_size) return TooLarge(path, max_size);
    if (Clock::now() >= end) return TooSlow(path, kMostReadMs);
  }
  return bytes;
}

}  // namespace vmm
