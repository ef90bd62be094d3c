// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_ARCHIVE_H_
#define PARKVMM_TOOLS_HOST_UNPACK_ARCHIVE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// The archive of a command's files, which tools/parkvmm/host/payload.py writes.
// It is a sequence of records. Each begins with a line:
//
//   d MODE 0 PATH      a directory
//   f MODE SIZE PATH   a file, whose SIZE bytes follow the line
//   e 0 0 .            the end
//
// MODE is octal, SIZE decimal, PATH relative and without "..".
namespace host_unpack {

inline constexpr size_t kMaxLine = 4096;  // Bytes, the newline excluded.

// Where an archive comes from.
class Source {
 public:
  virtual ~Source() = default;

  // Returns the next bytes, at most `most` and at least one. They are valid
  // until the next call. Empty: there are no more.
  virtual std::span<const char> Next(size_t most) = 0;
};

enum class Kind { kDirectory, kFile, kEnd };

// What a record's first line says.
struct Header {
  Kind kind = Kind::kEnd;
  mode_t mode = 0;
  uint64_t size = 0;
  std::string path;

  bool operator==(const Header&) const = default;
};

// Parses a record's first line, without its newline. Nothing if it is wrong.
std::optional<Header> ParseHeader(std::string_view line);

// Unpacks an archive below the directory `root`. Returns what went wrong, or
// nothing.
std::optional<std::string> Unpack(Source& source, const std::string& root);

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_ARCHIVE_H_
