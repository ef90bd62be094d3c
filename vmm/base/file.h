// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_FILE_H_
#define PARKVMM_VMM_BASE_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "vmm/base/unique_fd.h"

namespace vmm {

// How long whoever is at the other end of a pipe may take each time: to come,
// to write something, to read something.
inline constexpr int kPatienceMs = 5'000;
// And all of it to be read.
inline constexpr int kMostReadMs = 300'000;

// Returns all bytes of a file or pipe. The error names `path`: kInvalidArgument
// if it is a directory, holds more than `max_size` bytes or is a pipe whose
// writer takes too long, else what open() or read() said, such as kNotFound.
// Any thread.
absl::StatusOr<std::vector<uint8_t>> ReadFile(const std::string& path,
                                              uint64_t max_size);

// Returns the descriptor of stdout or stderr if `path` leads to where that
// does, as "-" and /dev/stdout do, else -1. Such a file is never replaced or
// emptied: what is written goes to that stream, after all that is there. Any
// thread.
int OwnStream(const std::string& path);

// Writes a file whole or not at all: beside `path`, as PATH.tmp, which then
// takes its place. After an error the old file is as it was. What is no regular
// file, such as a pipe, or is an OwnStream(), is written to as it is. The error
// is one line with the path. Any thread; the reader of a pipe has kPatienceMs
// to open it, and each time to take something.
absl::Status WriteFile(const std::string& path, absl::string_view content);
absl::Status WriteFile(const std::string& path,
                       absl::Span<const uint8_t> content);

// Returns OK if WriteFile(path) could work now, and leaves nothing behind.
absl::Status CheckWritable(const std::string& path);

// A file that grows while its writer runs. One thread.
class FileStream {
 public:
  enum class Start { kEmpty, kAtEnd };

  // Opens `path`, or creates it. Errors as WriteFile()'s; kInvalidArgument for
  // a pipe that nobody reads.
  static absl::StatusOr<FileStream> Open(std::string path, Start start);

  // Appends all of `content`. After an error, part of it may be in the file;
  // every later call returns the same error and writes nothing.
  absl::Status Write(absl::string_view content);

 private:
  FileStream(std::string path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
  absl::Status status_;
};

// Appends all of `content` to what is open as `fd`, blocking or not. Whoever
// reads it has kPatienceMs each time to take something; then it is an
// error, as one of write() is. The error calls it `path`.
absl::Status WriteTo(int fd, const std::string& path,
                     absl::string_view content);

// Calls `write_some`, which is write() or a test's, until it has taken all of
// `content`; an interrupted call is made again. It returns how many bytes it
// took, or -1 with errno set. The error names `path`.
absl::Status WriteAll(
    const std::string& path, absl::string_view content,
    absl::FunctionRef<ssize_t(const char* bytes, size_t size)> write_some);

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_FILE_H_
