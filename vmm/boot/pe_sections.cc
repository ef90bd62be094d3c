// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/pe_sections.h"

#include <algorithm>
#include <cstring>

#include "absl/functional/function_ref.h"

namespace vmm {
namespace {

// Calls `visit` with each section until it returns false. Returns where the
// table ends if that is beyond `head`; else 0.
uint64_t ForEachSection(absl::Span<const uint8_t> head, uint64_t pe_offset,
                        absl::FunctionRef<bool(const PeSection&)> visit) {
  const auto pe = HeaderAt<PeHeader>(head, pe_offset);
  if (!pe || !HasMagic(head, 0, "MZ") ||
      std::memcmp(pe->magic, "PE\0", sizeof(pe->magic)) != 0) {
    return 0;
  }
  uint64_t offset = pe_offset + sizeof(PeHeader) + pe->optional_header_size;
  for (unsigned i = 0; i < pe->sections; ++i, offset += sizeof(PeSection)) {
    const auto section = HeaderAt<PeSection>(head, offset);
    if (!section) return offset + sizeof(PeSection);
    if (!visit(*section)) break;
  }
  return 0;
}

}  // namespace

uint64_t EndOfSections(absl::Span<const uint8_t> head, uint64_t pe_offset) {
  uint64_t end = 0;
  const uint64_t beyond =
      ForEachSection(head, pe_offset, [&](const PeSection& section) {
        end = std::max(end, uint64_t{section.file_offset} + section.file_size);
        return true;
      });
  return beyond != 0 ? beyond : end;
}

std::optional<PeSection> LinuxSectionOfUki(absl::Span<const uint8_t> head) {
  const auto header = HeaderAt<ImageHeader>(head, 0);
  if (!header || HasMagic(head, offsetof(ImageHeader, magic), "ARMd") ||
      HasMagic(head, offsetof(ZbootHeader, image_type), "zimg")) {
    return std::nullopt;
  }
  std::optional<PeSection> found;
  ForEachSection(head, header->pe_offset, [&](const PeSection& section) {
    if (std::strncmp(section.name, ".linux", sizeof(section.name)) != 0) {
      return true;
    }
    found = section;
    return false;
  });
  return found;
}

}  // namespace vmm
