// SPDX-License-Identifier: Apache-2.0
// The headers that an arm64 kernel file can begin with, as they lie in it.
#ifndef PARKVMM_VMM_BOOT_IMAGE_HEADERS_H_
#define PARKVMM_VMM_BOOT_IMAGE_HEADERS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace vmm {

// Documentation/arch/arm64/booting.rst, "Call the kernel image".
struct ImageHeader {
  uint32_t code[2];
  uint64_t text_offset;
  uint64_t image_size;
  uint64_t flags;
  uint64_t reserved[3];
  char magic[4];  // "ARMd".
  uint32_t pe_offset;
};
static_assert(sizeof(ImageHeader) == 64);
static_assert(offsetof(ImageHeader, magic) == 56);

// drivers/firmware/efi/libstub/zboot-header.S.
struct ZbootHeader {
  char mz[4];
  char image_type[4];  // "zimg".
  uint32_t payload_offset;
  uint32_t payload_size;
  uint32_t reserved[2];
  char compression[32];  // Zero-terminated.
  char magic[4];
  uint32_t pe_offset;
};
static_assert(sizeof(ZbootHeader) == sizeof(ImageHeader));
static_assert(offsetof(ZbootHeader, compression) == 24);

// The PE/COFF headers of a kernel that is an EFI application too.
struct PeHeader {
  char magic[4];  // "PE\0\0".
  uint16_t machine;
  uint16_t sections;
  uint32_t unused[3];
  uint16_t optional_header_size;  // Between this header and the sections.
  uint16_t characteristics;
};
static_assert(sizeof(PeHeader) == 24);

struct PeSection {
  char name[8];
  uint32_t memory_size;
  uint32_t memory_offset;
  uint32_t file_size;
  uint32_t file_offset;
  uint32_t unused[4];
};
static_assert(sizeof(PeSection) == 40);

// The header at `offset` in `file`; nullopt if the file ends before it does.
template <typename Header>
std::optional<Header> HeaderAt(absl::Span<const uint8_t> file,
                               uint64_t offset) {
  static_assert(std::is_trivially_copyable_v<Header>);
  static_assert(std::endian::native == std::endian::little);
  if (offset > file.size() || file.size() - offset < sizeof(Header)) {
    return std::nullopt;
  }
  Header header;
  std::memcpy(&header, file.data() + offset, sizeof(Header));
  return header;
}

inline bool HasMagic(absl::Span<const uint8_t> file, size_t offset,
                     absl::string_view magic) {
  return offset <= file.size() && magic.size() <= file.size() - offset &&
         std::memcmp(file.data() + offset, magic.data(), magic.size()) == 0;
}

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_IMAGE_HEADERS_H_
