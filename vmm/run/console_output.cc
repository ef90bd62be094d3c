// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/console_output.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "vmm/base/errno_status.h"

namespace vmm {
namespace {

// A pipe that polls writable takes this much without blocking.
constexpr size_t kWriteChunk = 4096;
// How often WriteAll() asks its clock.
constexpr int kPollMs = 100;

}  // namespace

void ConsoleOutput::Append(absl::string_view bytes) {
  if (status_.ok()) absl::StrAppend(&bytes_, bytes);
}

void ConsoleOutput::WriteSome() {
  const ssize_t written =
      write(fd_, bytes_.data(), std::min(bytes_.size(), kWriteChunk));
  if (written >= 0) {
    bytes_.erase(0, static_cast<size_t>(written));
  } else if (errno != EINTR && errno != EAGAIN) {
    status_ = ErrnoStatus(absl::StrCat("cannot write ", what_));
    bytes_.clear();
  }
}

void ConsoleOutput::WriteAll(const std::function<int64_t()>& now_ns) {
  const int64_t deadline = now_ns() + kPatienceNs;
  while (pending() && now_ns() < deadline) {
    pollfd out = {fd_, POLLOUT, 0};
    if (poll(&out, 1, kPollMs) > 0) WriteSome();
  }
  if (!pending()) return;
  status_ = absl::DeadlineExceededError(
      absl::StrCat("waited 5 s for a reader of ", what_, "; its end is lost"));
  bytes_.clear();
}

}  // namespace vmm
