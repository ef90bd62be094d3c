// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzzer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define PARKVMM_REPORTS_TO(fd) \
  __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<intptr_t>(fd)))
#endif
#endif
#ifndef PARKVMM_REPORTS_TO
#define PARKVMM_REPORTS_TO(fd) static_cast<void>(fd)
#endif

namespace fuzz {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  perror(what);
  abort();
}

int MakeFile(const char* name) {
  const int fd = memfd_create(name, 0);
  Require(fd >= 0, "memfd_create");
  return fd;
}

// A standard stream, and the file that takes its place for a while.
class Stream {
 public:
  explicit Stream(int fd) : fd_(fd), kept_(dup(fd)), file_(MakeFile("out")) {
    Require(kept_ >= 0, "dup");
  }
  int kept() const { return kept_; }
  void Begin() {
    Require(ftruncate(file_, 0) == 0, "ftruncate");
    Require(lseek(file_, 0, SEEK_SET) == 0, "lseek");
    Require(dup2(file_, fd_) == fd_, "dup2");
  }
  std::string End() {
    Require(dup2(kept_, fd_) == fd_, "dup2");
    const off_t size = lseek(file_, 0, SEEK_END);
    std::string text(static_cast<size_t>(size), '\0');
    Require(pread(file_, text.data(), text.size(), 0) == size, "pread");
    return text;
  }

 private:
  const int fd_;
  const int kept_;
  const int file_;
};

Stream& Output() {
  static Stream& only = *new Stream(STDOUT_FILENO);
  return only;
}
Stream& Errors() {
  static Stream& only = *new Stream(STDERR_FILENO);
  return only;
}

// Which is running.
Captured* capturing = nullptr;

// The code of the UTF-8 character that `text` begins with, and how many bytes
// it has; 0 bytes: it begins with none.
struct Character {
  uint32_t code;
  size_t bytes;
};
Character First(absl::string_view text) {
  static constexpr struct {
    uint8_t mask, lead;
    uint32_t least;
  } kForms[] = {{0x80, 0x00, 0},
                {0xe0, 0xc0, 0x80},
                {0xf0, 0xe0, 0x800},
                {0xf8, 0xf0, 0x10000}};
  const auto lead = static_cast<uint8_t>(text[0]);
  for (size_t more = 0; more < 4; ++more) {
    const auto& form = kForms[more];
    if ((lead & form.mask) != form.lead) continue;
    if (text.size() <= more) return {0, 0};
    uint32_t code = lead & static_cast<uint8_t>(~form.mask);
    for (size_t i = 1; i <= more; ++i) {
      const auto next = static_cast<uint8_t>(text[i]);
      if (next >> 6 != 2) return {0, 0};
      code = code * 64 + next % 64;
    }
    const bool is_good = code >= form.least && code <= 0x10ffff &&
                         (code < 0xd800 || code > 0xdfff);
    return {code, is_good ? more + 1 : 0};
  }
  return {0, 0};
}

}  // namespace

void Violation(const char* file, int line, absl::string_view what) {
  std::string shown;
  for (const char c : what) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      shown.push_back(c);
    } else {
      absl::StrAppendFormat(&shown, "\\x%02x", byte);
    }
  }
  if (capturing != nullptr) capturing->Stop();  // It has to be seen.
  fprintf(stderr, "fuzz: %s:%d: violated: %s\n", file, line, shown.c_str());
  fflush(stderr);
  abort();
}

bool IsPrintable(absl::string_view text, bool lines) {
  while (!text.empty()) {
    const Character first = First(text);
    if (first.bytes == 0) return false;
    const bool is_control =
        first.code < 0x20 || (first.code >= 0x7f && first.code < 0xa0);
    if (is_control && !(lines && first.code == '\n')) return false;
    text.remove_prefix(first.bytes);
  }
  return true;
}

Captured::Captured() {
  fflush(stdout);
  PARKVMM_REPORTS_TO(Errors().kept());
  Output().Begin();
  Errors().Begin();
  capturing = this;
}

void Captured::Stop() {
  if (!running_) return;
  running_ = false;
  capturing = nullptr;
  output_ = Output().End();
  errors_ = Errors().End();
  PARKVMM_REPORTS_TO(STDERR_FILENO);
}

std::string FileOf(absl::Span<const uint8_t> bytes, unsigned which) {
  static std::array<int, 4>& files = *new std::array<int, 4>{
      MakeFile("a"), MakeFile("b"), MakeFile("c"), MakeFile("d")};
  const int fd = files.at(which);
  Require(ftruncate(fd, 0) == 0, "ftruncate");
  Require(pwrite(fd, bytes.data(), bytes.size(), 0) ==
              static_cast<ssize_t>(bytes.size()),
          "pwrite");
  return absl::StrCat("/proc/self/fd/", fd);
}

std::map<std::string, Target>& Targets() {
  static auto& targets = *new std::map<std::string, Target>;
  return targets;
}

}  // namespace fuzz
