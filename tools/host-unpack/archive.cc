// SPDX-License-Identifier: Apache-2.0
#include "tools/host-unpack/archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "vmm/base/unique_fd.h"

namespace host_unpack {
namespace {

constexpr size_t kMost = size_t{2} << 20;  // Bytes asked for at once.
constexpr mode_t kModeBits = 0777;
constexpr int kOctal = 8;
constexpr int kDecimal = 10;

// Takes the word before the next space off the front of `line`.
std::string_view TakeWord(std::string_view& line) {
  const size_t length = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, length);
  line.remove_prefix(std::min(length + 1, line.size()));
  return word;
}

std::optional<uint64_t> ParseNumber(std::string_view word, int base) {
  uint64_t number = 0;
  const char* const end = word.data() + word.size();
  const auto [at, error] = std::from_chars(word.data(), end, number, base);
  if (error != std::errc() || at != end) return std::nullopt;
  return number;
}

std::optional<Kind> ParseKind(std::string_view word) {
  if (word == "d") return Kind::kDirectory;
  if (word == "f") return Kind::kFile;
  if (word == "e") return Kind::kEnd;
  return std::nullopt;
}

// Whether a path stays below the directory that it is relative to.
bool StaysBelow(std::string_view path) {
  while (!path.empty()) {
    const size_t length = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, length);
    if (name.empty() || name == "..") return false;
    path.remove_prefix(std::min(length + 1, path.size()));
  }
  return true;
}

std::string Because(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

// Unpacks one archive.
class Unpacker {
 public:
  Unpacker(Source& source, const std::string& root)
      : source_(source), root_(root) {}

  std::optional<std::string> Run() {
    for (;;) {
      const std::optional<std::string> line = ReadLine();
      if (!line) return "the archive ends early";
      const std::optional<Header> header = ParseHeader(*line);
      if (!header) return "not a record: " + *line;
      if (header->kind == Kind::kEnd) return std::nullopt;
      const std::string path = root_ + "/" + header->path;
      std::optional<std::string> error =
          header->kind == Kind::kDirectory
              ? MakeDirectory(path, header->mode)
              : WriteFile(path, header->mode, header->size);
      if (error) return error;
    }
  }

 private:
  // Returns the text up to the next newline, or kMaxLine bytes if none comes.
  std::optional<std::string> ReadLine() {
    std::string line;
    while (line.size() < kMaxLine) {
      if (left_.empty()) left_ = source_.Next(kMost);
      if (left_.empty()) return std::nullopt;
      const auto end = std::ranges::find(left_, '\n');
      line.append(left_.begin(), end);
      const bool found = end != left_.end();
      left_ = left_.subspan(static_cast<size_t>(end - left_.begin()) +
                            (found ? 1 : 0));
      if (found) return line;
    }
    return line;
  }

  static std::optional<std::string> MakeDirectory(const std::string& path,
                                                  mode_t mode) {
    if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return std::nullopt;
    return Because(path);
  }

  std::optional<std::string> WriteFile(const std::string& path, mode_t mode,
                                       uint64_t size) {
    const vmm::UniqueFd file(
        open(path.c_str(),
             O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file.valid()) return Because(path);
    while (size > 0) {
      if (left_.empty()) {
        left_ =
            source_.Next(static_cast<size_t>(std::min<uint64_t>(size, kMost)));
      }
      if (left_.empty()) return path + ": the archive ends early";
      const size_t most =
          static_cast<size_t>(std::min<uint64_t>(size, left_.size()));
      const ssize_t wrote = write(file.get(), left_.data(), most);
      if (wrote <= 0) return Because(path);
      left_ = left_.subspan(static_cast<size_t>(wrote));
      size -= static_cast<uint64_t>(wrote);
    }
    return std::nullopt;
  }

  Source& source_;
  const std::string& root_;
  std::span<const char> left_;  // Of what the source returned last.
};

}  // namespace

std::optional<Header> ParseHeader(std::string_view line) {
  const std::optional<Kind> kind = ParseKind(TakeWord(line));
  const std::optional<uint64_t> mode = ParseNumber(TakeWord(line), kOctal);
  const std::optional<uint64_t> size = ParseNumber(TakeWord(line), kDecimal);
  if (!kind || !mode || *mode > kModeBits || !size || line.empty() ||
      !StaysBelow(line) || line.find('\0') != std::string_view::npos ||
      (*kind != Kind::kFile && *size != 0)) {
    return std::nullopt;
  }
  return Header{.kind = *kind,
                .mode = static_cast<mode_t>(*mode),
                .size = *size,
                .path = std::string(line)};
}

std::optional<std::string> Unpack(Source& source, const std::string& root) {
  return Unpacker(source, root).Run();
}

}  // namespace host_unpack
