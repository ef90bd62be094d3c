// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/foreign_file.h"

#include <elf.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "vmm/boot/image_headers.h"

namespace vmm {
namespace {

constexpr absl::string_view kBuildForArm64 =
    "build the kernel with ARCH=arm64 and pass arch/arm64/boot/Image";
constexpr absl::string_view kPassImage = "pass arch/arm64/boot/Image";

struct Signature {
  size_t offset;
  absl::string_view magic;
  absl::string_view what;
  absl::string_view remedy;
};

constexpr Signature kSignatures[] = {
    {0x202, "HdrS", "an x86 kernel (bzImage)", kBuildForArm64},
    {0x38, "RSC\x05", "a RISC-V kernel (Image)", kBuildForArm64},
    {0x24, "\x18\x28\x6f\x01", "a 32-bit Arm kernel (zImage)", kBuildForArm64},
    {0, "\x27\x05\x19\x56", "a U-Boot uImage", kPassImage},
    {0, "\xd0\x0d\xfe\xed", "a devicetree blob or a FIT image", kPassImage},
    {0, "\x1f\x8b", "gzip-compressed once more", "unpack it with gzip -dc"},
    {0, "\x28\xb5\x2f\xfd", "zstd-compressed once more",
     "unpack it with zstd -dc"},
    {0, "\x02\x21\x4c\x18", "lz4-compressed", "unpack it with lz4 -dc"},
    {0, "\x04\x22\x4d\x18", "lz4-compressed", "unpack it with lz4 -dc"},
    {0, "\x89LZO", "lzo-compressed", "unpack it with lzop -dc"},
    {0, "BZh", "bzip2-compressed", "unpack it with bzip2 -dc"},
    {0, {"\x5d\0\0", 3}, "lzma-compressed", "unpack it with xz -dc"},
    {0, "\xfd\x37zXZ", "xz-compressed", "unpack it with xz -dc"},
    {0, "070701", "an initramfs (cpio)", "pass it as the initrd"},
};

std::string MachineName(unsigned machine) {
  switch (machine) {
    case EM_386:
      return "x86";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "32-bit Arm";
    case EM_AARCH64:
      return "arm64";
    case EM_RISCV:
      return "RISC-V";
    default:
      return absl::StrCat("machine ", machine);
  }
}

ForeignFile DescribeElf(const Elf64_Ehdr& header) {
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return {"a big-endian ELF file", std::string(kBuildForArm64)};
  }
  const bool arm64 = header.e_machine == EM_AARCH64;
  return {absl::StrCat("an ELF file for ", MachineName(header.e_machine),
                       arm64 ? " (vmlinux)" : ""),
          arm64 ? "use arch/arm64/boot/Image" : std::string(kBuildForArm64)};
}

}  // namespace

ForeignFile Identify(absl::Span<const uint8_t> file) {
  const auto elf = HeaderAt<Elf64_Ehdr>(file, 0);
  if (elf && HasMagic(file, 0, ELFMAG)) return DescribeElf(*elf);
  for (const Signature& signature : kSignatures) {
    if (HasMagic(file, signature.offset, signature.magic)) {
      return {std::string(signature.what), std::string(signature.remedy)};
    }
  }
  if (file.size() < sizeof(ImageHeader)) {
    return {absl::StrCat("only ", file.size(), " bytes long, shorter than ",
                         "the header of an arm64 Image"),
            "copy or download the file again"};
  }
  return {"not an arm64 kernel",
          absl::StrCat(kPassImage, ", or load a flat binary with --raw")};
}

}  // namespace vmm
