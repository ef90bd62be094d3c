// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_BASE_CONTENT_H_
#define PARKVMM_VMM_BASE_CONTENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "vmm/base/unique_fd.h"

namespace vmm {

// Bytes that are read where they are needed: of an open file, which takes no
// memory, or of a buffer, which is kept until the last copy of the Content is
// gone. A value, cheap to copy. Any thread.
class Content {
 public:
  Content() = default;
  explicit Content(std::vector<uint8_t> bytes);
  // Opens a file; what is no regular file, such as a pipe, is read whole.
  // Errors as ReadFile()'s.
  static absl::StatusOr<Content> Open(const std::string& path,
                                      uint64_t max_size);

  // All of an open regular file; `path` is for messages.
  static absl::StatusOr<Content> Of(UniqueFd file, const std::string& path);

  // Returns their bytes, one after the other.
  static Content Join(std::vector<Content> parts);

  uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Fills `into` with the bytes from `offset` on. kOutOfRange if they are not
  // all there; kDataLoss if the file was cut short since it was opened, else
  // what read() said. Then some of `into` may be written.
  absl::Status ReadAt(uint64_t offset, absl::Span<uint8_t> into) const;
  absl::StatusOr<std::vector<uint8_t>> ReadAll() const;

 private:
  struct Source;
  Content(std::shared_ptr<const Source> source, uint64_t size);

  std::shared_ptr<const Source> source_;
  uint64_t size_ = 0;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_BASE_CONTENT_H_
