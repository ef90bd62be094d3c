// SPDX-License-Identifier: Apache-2.0
// Any file as --rootfs: it becomes an archive that Linux can unpack, or is
// refused in one line; and any line as one of the emulated host's archive.
#include "absl/strings/numbers.h"
#include "tests/fuzz/fuzzer.h"
#include "tools/host-unpack/archive.h"
#include "vmm/command/archive.h"
#include "vmm/command/root_archive.h"

namespace {

constexpr uint64_t kMostRead = uint64_t{16} << 20;

// Reads a cpio archive as Linux's init/initramfs.c does, and requires what it
// requires.
void CheckArchive(absl::string_view text) {
  const auto padded = [](uint64_t size) { return (size + 3) / 4 * 4; };
  uint64_t at = 0;
  for (;;) {
    FUZZ_CHECK(text.size() - at >= 110 && text.substr(at, 6) == "070701");
    std::array<uint64_t, 13> fields = {};
    for (size_t i = 0; i < fields.size(); ++i) {
      const absl::string_view digits = text.substr(at + 6 + 8 * i, 8);
      FUZZ_CHECK(absl::SimpleHexAtoi(digits, &fields[i]));
    }
    const uint64_t size = fields[6];
    const uint64_t name_size = fields[11];
    FUZZ_CHECK(name_size >= 1 && name_size <= text.size() - at - 110);
    const absl::string_view name = text.substr(at + 110, name_size - 1);
    FUZZ_CHECK(text[at + 110 + name_size - 1] == '\0');
    FUZZ_CHECK(name.find('\0') == absl::string_view::npos);
    FUZZ_CHECK(!name.empty() && name[0] != '/');
    const uint64_t content = at + padded(110 + name_size);
    FUZZ_CHECK(content <= text.size() && size <= text.size() - content);
    at = content + padded(size);
    FUZZ_CHECK(at <= text.size());
    if (name != "TRAILER!!!") continue;
    FUZZ_CHECK(at == text.size());  // Linux reads no further.
    return;
  }
}

void CheckLine(absl::string_view line) {
  const auto header = host_unpack::ParseHeader({line.data(), line.size()});
  if (!header) return;
  FUZZ_CHECK(header->mode <= 0777 && !header->path.empty());
  FUZZ_CHECK(header->kind == host_unpack::Kind::kFile || header->size == 0);
  const std::string framed = "/" + header->path + "/";
  FUZZ_CHECK(framed.find("/../") == std::string::npos);
  FUZZ_CHECK(header->path[0] != '/');
  FUZZ_CHECK(header->path.find('\0') == std::string::npos);
}

}  // namespace

FUZZ_TARGET(root_archive) {
  const auto bytes = input.TakeRest();
  const absl::string_view text(reinterpret_cast<const char*>(bytes.data()),
                               bytes.size());
  CheckLine(text.substr(0, text.find('\n')));
  const vmm::Content file(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  static_cast<void>(vmm::CheckInitramfs(file));
  const auto root = vmm::ReadRoot(fuzz::FileOf(bytes));
  if (!root.ok()) {
    const std::string message(root.status().message());
    FUZZ_CHECK_TEXT(
        root.status().code() == absl::StatusCode::kInvalidArgument ||
            root.status().code() == absl::StatusCode::kResourceExhausted,
        message);
    FUZZ_CHECK_TEXT(message.find("root") != std::string::npos, message);
    return;
  }
  FUZZ_CHECK(vmm::CheckInitramfs(root->archive).ok());
  if (root->archive.size() > kMostRead) return;  // Holes of a sparse file.
  const auto archive = root->archive.ReadAll();
  FUZZ_CHECK(archive.ok());
  CheckArchive(
      {reinterpret_cast<const char*>(archive->data()), archive->size()});
}
