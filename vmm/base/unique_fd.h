// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_UNIQUE_FD_H_
#define PARKVMM_VMM_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace vmm {

// Owns a file descriptor; -1 means none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Returns the descriptor and leaves it to the caller to close.
  int Release() { return std::exchange(fd_, -1); }

 private:
  void Close() const {
    if (valid()) close(fd_);
  }
  int fd_ = -1;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_UNIQUE_FD_H_
