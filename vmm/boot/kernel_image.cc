// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/kernel_image.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "vmm/base/status_macros.h"
#include "vmm/base/text.h"
#include "vmm/boot/decompress.h"
#include "vmm/boot/foreign_file.h"
#include "vmm/boot/image_headers.h"
#include "vmm/boot/pe_sections.h"

namespace vmm {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kTextOffsetLimit = uint64_t{2} << 20;
// Where kernels from before 3.17 go, and flat binaries.
constexpr uint64_t kLegacyTextOffset = 0x80000;
constexpr uint64_t kBigEndianFlag = 1;
// All headers of a kernel lie within so much.
constexpr uint64_t kHeadBytes = 64 << 10;
constexpr absl::string_view kCopyAgain = "copy or download the file again";

absl::Status Refused(absl::string_view name, absl::string_view reason,
                     absl::string_view remedy) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, " ", reason, "; ", remedy));
}

absl::Status CheckSize(absl::string_view name, const Content& file) {
  if (file.empty()) return Refused(name, "is empty", kCopyAgain);
  if (file.size() > kMaxKernelBytes) {
    return Refused(name, absl::StrCat("is ", file.size(), " bytes long"),
                   "no kernel is that large, pass another file");
  }
  return absl::OkStatus();
}

uint32_t PageSize(uint64_t flags) {
  constexpr uint32_t kSizes[] = {0, 4096, 16384, 65536};
  return kSizes[flags >> 1 & 3];
}

// A file, or a part of one that begins at `offset` in it.
struct Part {
  absl::string_view name;  // For messages.
  absl::string_view path;  // Of the whole file.
  uint64_t offset = 0;
  Content content;
  uint64_t limit = 0;  // Of what it may unpack to, in bytes.
};

absl::Status CheckHeader(absl::string_view name, const Content& file,
                         absl::Span<const uint8_t> head,
                         const ImageHeader& header) {
  if ((header.flags & kBigEndianFlag) != 0) {
    return Refused(name, "is a big-endian kernel",
                   "build it with CONFIG_CPU_LITTLE_ENDIAN=y");
  }
  if (header.text_offset >= kTextOffsetLimit ||
      header.image_size > kMaxKernelBytes) {
    return Refused(name, "has a damaged arm64 Image header", kCopyAgain);
  }
  const uint64_t end = EndOfSections(head, header.pe_offset);
  if (end > file.size()) {
    return Refused(name,
                   absl::StrCat("is cut short: ", file.size(), " of at least ",
                                end, " bytes"),
                   kCopyAgain);
  }
  return absl::OkStatus();
}

absl::StatusOr<Bytes> HeadOf(const Content& file) {
  Bytes head(std::min(file.size(), kHeadBytes));
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(head)));
  return head;
}

absl::StatusOr<KernelImage> ParseImage(absl::string_view name,
                                       const Content& file,
                                       std::string format) {
  ASSIGN_OR_RETURN(const Bytes head, HeadOf(file));
  const auto header = HeaderAt<ImageHeader>(head, 0);
  if (!header || absl::string_view(header->magic, 4) != "ARMd") {
    const ForeignFile foreign = Identify(head);
    return Refused(name, absl::StrCat("is ", foreign.what), foreign.remedy);
  }
  RETURN_IF_ERROR(CheckHeader(name, file, head, *header));
  KernelImage image;
  image.page_size = PageSize(header->flags);
  image.format = std::move(format);
  if (header->image_size == 0) {
    image.text_offset = kLegacyTextOffset;
  } else {
    image.text_offset = header->text_offset;
    image.image_size = std::max<uint64_t>(header->image_size, file.size());
  }
  image.content = file;
  return image;
}

absl::StatusOr<KernelImage> ParseUnpacked(absl::string_view name,
                                          absl::StatusOr<Bytes> content,
                                          std::string format) {
  if (!content.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": ", content.status().message()));
  }
  return ParseImage(absl::StrCat("what is packed in ", name),
                    Content(*std::move(content)), std::move(format));
}

// How the packings of zboot files that are not read here are unpacked, by the
// words of Linux's libstub/Makefile.zboot.
constexpr struct {
  absl::string_view compression;
  absl::string_view unpack;
} kUnpackers[] = {{"lz4", "lz4 -dc"},
                  {"lzma", "xz -dc"},
                  {"lzo", "lzop -dc"},
                  {"xzkern", "xz -dc"}};

std::string HowToUnpack(const Part& file, const ZbootHeader& header,
                        absl::string_view compression) {
  for (const auto& known : kUnpackers) {
    if (known.compression != compression) continue;
    return absl::StrFormat("unpack it: tail -c +%d %s | head -c %d | %s >Image",
                           file.offset + header.payload_offset + 1, file.path,
                           header.payload_size, known.unpack);
  }
  return "build it with CONFIG_KERNEL_GZIP=y or pass arch/arm64/boot/Image";
}

absl::StatusOr<KernelImage> ParseZboot(const Part& file,
                                       absl::Span<const uint8_t> bytes,
                                       const ZbootHeader& header) {
  if (uint64_t{header.payload_offset} + header.payload_size > bytes.size()) {
    return Refused(file.name, "is a zboot file that is cut short", kCopyAgain);
  }
  const auto payload =
      bytes.subspan(header.payload_offset, header.payload_size);
  const std::string compression =
      Printable({header.compression,
                 strnlen(header.compression, sizeof(header.compression))});
  const std::string format = absl::StrCat("zboot (", compression, ")");
  // Some builds of Linux append sizes to the payload.
  if (compression == "gzip") {
    return ParseUnpacked(file.name, Gunzip(payload, file.limit, Tail::kIgnored),
                         format);
  }
  if (absl::StartsWith(compression, "zstd")) {
    return ParseUnpacked(file.name, Unzstd(payload, file.limit, Tail::kIgnored),
                         format);
  }
  return Refused(
      file.name,
      absl::StrCat("is a zboot file packed with \"", compression, "\""),
      HowToUnpack(file, header, compression));
}

absl::StatusOr<KernelImage> ParsePart(const Part& file,
                                      absl::Span<const uint8_t> head) {
  const bool is_gzip = HasMagic(head, 0, "\x1f\x8b");
  const bool is_zstd = HasMagic(head, 0, "\x28\xb5\x2f\xfd");
  const auto zboot = HasMagic(head, 0, "MZ") && HasMagic(head, 4, "zimg")
                         ? HeaderAt<ZbootHeader>(head, 0)
                         : std::nullopt;
  if (!is_gzip && !is_zstd && !zboot) {
    return ParseImage(file.name, file.content, "Image");
  }
  ASSIGN_OR_RETURN(const Bytes packed, file.content.ReadAll());
  if (zboot) return ParseZboot(file, packed, *zboot);
  return is_gzip ? ParseUnpacked(file.name, Gunzip(packed, file.limit),
                                 "Image (gzip)")
                 : ParseUnpacked(file.name, Unzstd(packed, file.limit),
                                 "Image (zstd)");
}

// Takes the kernel out of a unified kernel image.
absl::StatusOr<KernelImage> ParseUki(absl::string_view name,
                                     const Content& file,
                                     const PeSection& linux_section,
                                     uint64_t limit) {
  // The size in the file is rounded up, the one in memory is not.
  const uint64_t size =
      std::min(linux_section.memory_size, linux_section.file_size);
  if (uint64_t{linux_section.file_offset} + linux_section.file_size >
      file.size()) {
    return Refused(name, "is a unified kernel image that is cut short",
                   kCopyAgain);
  }
  const std::string part_name = absl::StrCat("the .linux section of ", name);
  Bytes bytes(size);
  RETURN_IF_ERROR(
      file.ReadAt(linux_section.file_offset, absl::MakeSpan(bytes)));
  const Part part = {.name = part_name,
                     .path = name,
                     .offset = linux_section.file_offset,
                     .content = Content(std::move(bytes)),
                     .limit = limit};
  RETURN_IF_ERROR(CheckSize(part_name, part.content));
  ASSIGN_OR_RETURN(const Bytes head, HeadOf(part.content));
  ASSIGN_OR_RETURN(KernelImage image, ParsePart(part, head));
  image.format = absl::StrCat("UKI, ", image.format);
  image.note = absl::StrCat(
      name,
      " is a unified kernel image: its .linux is taken, its .initrd and "
      ".cmdline are not; to get one: aarch64-linux-gnu-objcopy --dump-section "
      ".initrd=initrd ",
      name, " copy.efi");
  return image;
}

}  // namespace

absl::StatusOr<KernelImage> ParseKernel(absl::string_view name,
                                        const Content& file, uint64_t limit) {
  RETURN_IF_ERROR(CheckSize(name, file));
  ASSIGN_OR_RETURN(const Bytes head, HeadOf(file));
  if (const auto section = LinuxSectionOfUki(head)) {
    return ParseUki(name, file, *section, limit);
  }
  return ParsePart(
      {.name = name, .path = name, .content = file, .limit = limit}, head);
}

absl::StatusOr<KernelImage> ParseRaw(absl::string_view name,
                                     const Content& file) {
  RETURN_IF_ERROR(CheckSize(name, file));
  KernelImage image;
  image.content = file;
  image.text_offset = kLegacyTextOffset;
  image.raw = true;
  image.format = "raw";
  return image;
}

}  // namespace vmm
