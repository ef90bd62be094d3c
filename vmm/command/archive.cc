// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "vmm/base/status_macros.h"
#include "vmm/command/command_abi.h"

#if defined(__aarch64__)
extern "C" const uint8_t parkvmm_guest_init[];
extern "C" const uint8_t parkvmm_guest_init_end[];
#endif

namespace vmm {
namespace {

constexpr size_t kAlignment = 4;

std::vector<uint8_t> BytesOf(absl::string_view text) {
  return {text.begin(), text.end()};
}

// The archive in pieces, so that a kernel in it need not be read yet.
class Archive {
 public:
  void AddFolder(absl::string_view path) { AddHeader(path, S_IFDIR | 0755, 0); }

  void AddFile(absl::string_view path, mode_t mode, Content content) {
    const uint64_t size = content.size();
    AddHeader(path, S_IFREG | mode, size);
    Flush();
    pieces_.push_back(std::move(content));
    text_.append((kAlignment - size % kAlignment) % kAlignment, '\0');
  }

  Content End() {
    AddHeader("TRAILER!!!", 0, 0);
    Flush();
    return Content::Join(std::move(pieces_));
  }

 private:
  void AddHeader(absl::string_view path, mode_t mode, uint64_t size) {
    // Paths of the archive begin at its root.
    const absl::string_view name = absl::StripPrefix(path, "/");
    const size_t begin = text_.size();
    absl::StrAppendFormat(&text_,
                          "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x"
                          "%08x%08x",
                          ++inode_, mode, 0, 0, S_ISDIR(mode) ? 2 : 1, 0, size,
                          0, 0, 0, 0, name.size() + 1, 0);
    absl::StrAppend(&text_, name);
    do {
      text_ += '\0';
    } while ((text_.size() - begin) % kAlignment != 0);
  }

  void Flush() { pieces_.emplace_back(BytesOf(std::exchange(text_, ""))); }

  std::string text_;  // Not yet in a piece. Begins at a multiple of four.
  std::vector<Content> pieces_;
  uint32_t inode_ = 0;
};

std::string CommandFile(const GuestCommand& command) {
  std::string text;
  const auto add = [&text](absl::string_view value) {
    absl::StrAppend(&text, value, absl::string_view("\0", 1));
  };
  add(COMMAND_FILE_MAGIC);
  add(command.terminal ? COMMAND_TERMINAL : COMMAND_PIPES);
  add(absl::StrCat(command.words.size()));
  for (const std::string& word : command.words) add(word);
  for (const std::string& variable : command.environment) add(variable);
  return text;
}

// Kernels, and which comes after which.
void AddPlan(Archive& archive, absl::Span<const Content> kernels) {
  std::string plan;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const std::string path = absl::StrCat(COMMAND_KERNEL, i + 1);
    archive.AddFile(path, 0600, kernels[i]);
    absl::StrAppend(&plan, path, "\n");
  }
  archive.AddFile(COMMAND_PLAN, 0600, Content(BytesOf(plan)));
}

}  // namespace

Content CommandArchive(const GuestCommand& command,
                       absl::Span<const uint8_t> init,
                       absl::Span<const Content> kernels) {
  Archive archive;
  archive.AddFolder(COMMAND_FOLDER);
  archive.AddFile(COMMAND_INIT, 0755, Content({init.begin(), init.end()}));
  archive.AddFile(COMMAND_FILE, 0600, Content(BytesOf(CommandFile(command))));
  if (kernels.size() == 1) {
    archive.AddFile(COMMAND_KERNEL, 0600, kernels[0]);
  } else if (!kernels.empty()) {
    AddPlan(archive, kernels);
  }
  return archive.End();
}

absl::Status CheckInitramfs(const Content& initrd) {
  // Documentation/driver-api/early-userspace/buffer-format.rst, and what
  // lib/decompress.c knows.
  static constexpr absl::string_view kKnown[] = {
      "070701",
      "070702",
      "\x1f\x8b",
      "\x1f\x9e",
      "\x28\xb5\x2f\xfd",
      "\xfd\x37zXZ",
      "BZh",
      "\x89LZO",
      "\x02\x21\x4c\x18",
      absl::string_view("\x5d\0", 2)};
  std::array<uint8_t, 8> first = {};
  const size_t size = std::min<uint64_t>(initrd.size(), first.size());
  RETURN_IF_ERROR(initrd.ReadAt(0, absl::MakeSpan(first).first(size)));
  const absl::string_view begin(reinterpret_cast<const char*>(first.data()),
                                size);
  for (const absl::string_view known : kKnown) {
    if (absl::StartsWith(begin, known)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError("is no initramfs");
}

absl::Span<const uint8_t> GuestInit() {
#if defined(__aarch64__)
  return absl::MakeConstSpan(parkvmm_guest_init, parkvmm_guest_init_end);
#else
  return {};
#endif
}

}  // namespace vmm
