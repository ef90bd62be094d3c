// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "vmm/base/errno_status.h"
#include "vmm/base/file.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/unique_fd.h"

namespace vmm {

// Where the bytes are: in the parts if there are any, else in the file if there
// is one, else in the buffer.
struct Content::Source {
  std::string path;
  UniqueFd file;
  std::vector<uint8_t> bytes;
  std::vector<Content> parts;

  absl::Status ReadParts(uint64_t offset, absl::Span<uint8_t> into) const;
};

Content::Content(std::shared_ptr<const Source> source, uint64_t size)
    : source_(std::move(source)), size_(size) {}

Content::Content(std::vector<uint8_t> bytes) : size_(bytes.size()) {
  // cppcheck-suppress useInitializationList ; source_ precedes size_
  source_ = std::make_shared<const Source>(Source{.bytes = std::move(bytes)});
}

absl::StatusOr<Content> Content::Open(const std::string& path,
                                      uint64_t max_size) {
  struct stat info = {};
  UniqueFd file;
  // Before it is opened: a named pipe would be closed again under its writer.
  if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
    file = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!file.valid() || fstat(file.get(), &info) != 0 || info.st_size == 0) {
    // Words what is wrong, if anything is. A file without a size may have bytes
    // all the same, as those of /proc do.
    ASSIGN_OR_RETURN(std::vector<uint8_t> bytes, ReadFile(path, max_size));
    return Content(std::move(bytes));
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_size) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s is larger than %d bytes", path, max_size));
  }
  return Content(std::make_shared<const Source>(
                     Source{.path = path, .file = std::move(file)}),
                 size);
}

absl::StatusOr<Content> Content::Of(UniqueFd file, const std::string& path) {
  struct stat info = {};
  if (fstat(file.get(), &info) != 0) {
    return ErrnoStatus(absl::StrCat("cannot read ", path));
  }
  return Content(std::make_shared<const Source>(
                     Source{.path = path, .file = std::move(file)}),
                 static_cast<uint64_t>(info.st_size));
}

Content Content::Join(std::vector<Content> parts) {
  uint64_t size = 0;
  for (const Content& part : parts) size += part.size();
  return Content(
      std::make_shared<const Source>(Source{.parts = std::move(parts)}), size);
}

absl::Status Content::Source::ReadParts(uint64_t offset,
                                        absl::Span<uint8_t> into) const {
  for (const Content& part : parts) {
    if (offset >= part.size()) {
      offset -= part.size();
      continue;
    }
    const auto here = std::min<uint64_t>(into.size(), part.size() - offset);
    RETURN_IF_ERROR(part.ReadAt(offset, into.first(here)));
    into.remove_prefix(here);
    offset = 0;
  }
  return absl::OkStatus();
}

absl::Status Content::ReadAt(uint64_t offset, absl::Span<uint8_t> into) const {
  if (offset > size_ || into.size() > size_ - offset) {
    return absl::OutOfRangeError(absl::StrFormat(
        "%d bytes from %d on are not in %d", into.size(), offset, size_));
  }
  if (into.empty()) return absl::OkStatus();
  if (!source_->parts.empty()) return source_->ReadParts(offset, into);
  if (!source_->file.valid()) {
    std::copy_n(source_->bytes.begin() + static_cast<ptrdiff_t>(offset),
                into.size(), into.begin());
    return absl::OkStatus();
  }
  while (!into.empty()) {
    const ssize_t got = pread(source_->file.get(), into.data(), into.size(),
                              static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return ErrnoStatus(absl::StrCat("cannot read ", source_->path));
    }
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(
          source_->path, " was cut short while it was read; run again"));
    }
    offset += static_cast<uint64_t>(got);
    into.remove_prefix(static_cast<size_t>(got));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> Content::ReadAll() const {
  std::vector<uint8_t> bytes(size_);
  RETURN_IF_ERROR(ReadAt(0, absl::MakeSpan(bytes)));
  return bytes;
}

}  // namespace vmm
