// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/kernel_image.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "tests/support/packing.h"
#include "vmm/boot/image_headers.h"

namespace vmm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Bytes = std::vector<uint8_t>;

constexpr uint64_t kFourKiBPages = 1 << 1;

ImageHeader Header() {
  return {.code = {},
          .text_offset = 0,
          .image_size = 0x300000,
          .flags = kFourKiBPages,
          .reserved = {},
          .magic = {'A', 'R', 'M', 'd'},
          .pe_offset = 0};
}

template <typename Layout>
void Put(const Layout& layout, size_t offset, Bytes& file) {
  std::memcpy(file.data() + offset, &layout, sizeof(layout));
}

void PutText(absl::string_view text, size_t offset, Bytes& file) {
  std::memcpy(file.data() + offset, text.data(), text.size());
}

Bytes FileWith(const ImageHeader& header, size_t size = 0x1000) {
  Bytes file(size, 0x5a);
  Put(header, 0, file);
  return file;
}

// An Image that is an EFI application whose one section ends at `end`.
Bytes EfiImage(uint32_t end, size_t size) {
  constexpr uint32_t kPeOffset = 64;
  constexpr uint16_t kOptionalHeader = 160;
  ImageHeader header = Header();
  header.pe_offset = kPeOffset;
  Bytes file = FileWith(header, size);
  PutText("MZ", 0, file);
  Put(PeHeader{.magic = {'P', 'E'},
               .machine = 0xaa64,
               .sections = 1,
               .unused = {},
               .optional_header_size = kOptionalHeader,
               .characteristics = 0},
      kPeOffset, file);
  Put(PeSection{.name = ".text",
                .memory_size = end,
                .memory_offset = 0x400,
                .file_size = end - 0x400,
                .file_offset = 0x400,
                .unused = {}},
      kPeOffset + sizeof(PeHeader) + kOptionalHeader, file);
  return file;
}

Bytes Zboot(const char* compression, const Bytes& payload) {
  constexpr uint32_t kPayloadOffset = 0x200;
  ZbootHeader header = {};
  std::memcpy(header.mz, "MZ", 2);
  std::memcpy(header.image_type, "zimg", 4);
  header.payload_offset = kPayloadOffset;
  header.payload_size = static_cast<uint32_t>(payload.size());
  std::strncpy(header.compression, compression, sizeof(header.compression) - 1);
  Bytes file(kPayloadOffset + payload.size());
  Put(header, 0, file);
  std::copy(payload.begin(), payload.end(), file.begin() + kPayloadOffset);
  return file;
}

Bytes Elf(unsigned char data, uint16_t machine) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_DATA] = data;
  header.e_machine = machine;
  Bytes file(0x1000);
  Put(header, 0, file);
  return file;
}

Bytes FileWithMagic(absl::string_view magic, size_t offset) {
  Bytes file(0x1000);
  PutText(magic, offset, file);
  return file;
}

KernelImage Parsed(Bytes file) {
  absl::StatusOr<KernelImage> image =
      ParseKernel("Image", Content(std::move(file)));
  EXPECT_TRUE(image.ok()) << image.status();
  return image.ok() ? *std::move(image) : KernelImage{};
}

std::string Refusal(Bytes file) {
  const absl::Status status =
      ParseKernel("boot/k", Content(std::move(file))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  std::string message(status.message());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_THAT(message, HasSubstr("boot/k"));
  EXPECT_THAT(message, HasSubstr("; ")) << "There is no remedy.";
  return message;
}

TEST(KernelImageTest, ReadsAPlainImage) {
  ImageHeader header = Header();
  header.text_offset = 0x10000;
  const Bytes file = FileWith(header);
  const KernelImage image = Parsed(file);
  EXPECT_EQ(image.content.ReadAll().value(), file);
  EXPECT_EQ(image.text_offset, 0x10000u);
  EXPECT_EQ(image.image_size, 0x300000u);
  EXPECT_EQ(image.page_size, 4096u);
  EXPECT_EQ(image.format, "Image");
}

TEST(KernelImageTest, ReadsThePageSize) {
  constexpr uint32_t kSizes[] = {0, 4096, 16384, 65536};
  for (uint64_t field = 0; field < 4; ++field) {
    ImageHeader header = Header();
    header.flags = field << 1 | 1 << 3;
    EXPECT_EQ(Parsed(FileWith(header)).page_size, kSizes[field]);
  }
}

TEST(KernelImageTest, KnowsImagesFromBeforeImageSizeWasWritten) {
  ImageHeader header = Header();
  header.image_size = 0;
  const KernelImage image = Parsed(FileWith(header));
  EXPECT_EQ(image.text_offset, 0x80000u);
  EXPECT_EQ(image.image_size, 0u);
}

TEST(KernelImageTest, WhatIsAppendedToAnImageCountsAsPartOfIt) {
  ImageHeader header = Header();
  header.image_size = 0x800;
  EXPECT_EQ(Parsed(FileWith(header, 0x1000)).image_size, 0x1000u);
}

TEST(KernelImageTest, UnpacksEveryPackingToTheSameImage) {
  const Bytes file = FileWith(Header());
  struct Case {
    Bytes packed;
    const char* format;
  };
  for (const Case& c : {
           Case{Gzipped(file), "Image (gzip)"},
           Case{Zstandard(file), "Image (zstd)"},
           Case{Zboot("gzip", Gzipped(file)), "zboot (gzip)"},
           Case{Zboot("zstd22", Zstandard(file)), "zboot (zstd22)"},
       }) {
    const KernelImage image = Parsed(c.packed);
    EXPECT_EQ(image.content.ReadAll().value(), file);
    EXPECT_EQ(image.image_size, 0x300000u);
    EXPECT_EQ(image.format, c.format);
  }
}

TEST(KernelImageTest, TakesAFlatBinaryAsItIs) {
  const Bytes file = {1, 2, 3, 4};
  const auto image = ParseRaw("payload", Content(file));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->content.ReadAll().value(), file);
  EXPECT_EQ(image->text_offset, 0x80000u);
  EXPECT_EQ(image->image_size, 0u);
  EXPECT_EQ(image->format, "raw");
  EXPECT_EQ(ParseRaw("payload", {}).status().message(),
            "payload is empty; copy or download the file again");
}

TEST(KernelImageTest, SaysWhatAFileIsInstead) {
  struct Case {
    Bytes file;
    const char* message;
  };
  const Case cases[] = {
      {{}, "is empty; copy"},
      {Bytes(63), "is only 63 bytes long"},
      {Bytes(64), "is not an arm64 kernel; pass arch/arm64/boot/Image"},
      {FileWithMagic("HdrS", 0x202), "is an x86 kernel (bzImage); build"},
      {FileWithMagic("RSC\x05", 56), "is a RISC-V kernel (Image); build"},
      {FileWithMagic("\x18\x28\x6f\x01", 0x24), "is a 32-bit Arm kernel"},
      {FileWithMagic("\xd0\x0d\xfe\xed", 0), "is a devicetree blob"},
      {FileWithMagic("070701", 0), "is an initramfs (cpio); pass it as the"},
      {FileWithMagic("\xfd\x37zXZ", 0),
       "is xz-compressed; unpack it with xz -dc"},
      {Elf(ELFDATA2LSB, EM_X86_64), "is an ELF file for x86-64; build"},
      {Elf(ELFDATA2LSB, EM_AARCH64),
       "is an ELF file for arm64 (vmlinux); use arch/arm64/boot/Image"},
      {Elf(ELFDATA2LSB, 4711), "is an ELF file for machine 4711"},
      {Elf(ELFDATA2MSB, EM_S390), "is a big-endian ELF file; build"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(Refusal(c.file),
                StartsWith(std::string("boot/k ") + c.message));
  }
}

TEST(KernelImageTest, RefusesABigEndianKernel) {
  ImageHeader header = Header();
  header.flags |= 1;
  EXPECT_EQ(Refusal(FileWith(header)),
            "boot/k is a big-endian kernel; build it with "
            "CONFIG_CPU_LITTLE_ENDIAN=y");
}

TEST(KernelImageTest, RefusesAHeaderThatCannotBe) {
  ImageHeader header = Header();
  header.text_offset = 0x200000;
  EXPECT_THAT(Refusal(FileWith(header)), HasSubstr("damaged"));
  header = Header();
  header.image_size = UINT64_MAX;
  EXPECT_THAT(Refusal(FileWith(header)), HasSubstr("damaged"));
}

TEST(KernelImageTest, AFileMayBeShorterThanImageSizeButNotThanItsSections) {
  EXPECT_EQ(Parsed(EfiImage(0x1000, 0x1000)).image_size, 0x300000u);
  EXPECT_EQ(Refusal(EfiImage(0x1000, 0xfff)),
            "boot/k is cut short: 4095 of at least 4096 bytes; copy or "
            "download the file again");
  Bytes within_the_section_table = EfiImage(0x1000, 0x1000);
  within_the_section_table.resize(256);
  EXPECT_THAT(Refusal(within_the_section_table), HasSubstr("is cut short"));
}

TEST(KernelImageTest, RefusesPackingsThatAreCutShort) {
  const Bytes file = FileWith(Header());
  Bytes gzip = Gzipped(file);
  gzip.pop_back();
  EXPECT_EQ(Refusal(gzip),
            "boot/k: its gzip stream ends early; copy or download the file "
            "again");
  Bytes zboot = Zboot("gzip", Gzipped(file));
  zboot.pop_back();
  EXPECT_THAT(Refusal(zboot), HasSubstr("is a zboot file that is cut short"));
}

TEST(KernelImageTest, NamesWhatIsPackedInAFile) {
  EXPECT_THAT(Refusal(Gzipped(FileWithMagic("070701", 0))),
              StartsWith("what is packed in boot/k is an initramfs"));
  EXPECT_THAT(Refusal(Zstandard(Elf(ELFDATA2LSB, EM_X86_64))),
              StartsWith("what is packed in boot/k is an ELF file"));
  EXPECT_THAT(Refusal(Gzipped(Gzipped(FileWith(Header())))),
              StartsWith("what is packed in boot/k is gzip-compressed once"));
}

TEST(KernelImageTest, B12SaysHowToUnpackAZbootFile) {
  EXPECT_EQ(Refusal(Zboot("xzkern", Bytes(100))),
            "boot/k is a zboot file packed with \"xzkern\"; unpack it: "
            "tail -c +513 boot/k | head -c 100 | xz -dc >Image");
  EXPECT_THAT(Refusal(Zboot("lz4", Bytes(7))),
              HasSubstr(" | head -c 7 | lz4 -dc >Image"));
  EXPECT_THAT(Refusal(Zboot("lzma", Bytes(7))), HasSubstr(" | xz -dc >Image"));
  EXPECT_THAT(Refusal(Zboot("lzo", Bytes(7))), HasSubstr(" | lzop -dc >Image"));
  EXPECT_THAT(Refusal(Zboot("brotli", Bytes(7))),
              StartsWith("boot/k is a zboot file packed with \"brotli\"; "
                         "build it with CONFIG_KERNEL_GZIP=y"));
}

TEST(KernelImageTest, B12TakesAGzipImageOfTwoMembersWhole) {
  const Bytes file = FileWith(Header());
  const Bytes half(file.begin(), file.begin() + 0x800);
  const Bytes rest(file.begin() + 0x800, file.end());
  for (const auto pack : {Gzipped, Zstandard}) {
    Bytes packed = pack(half);
    const Bytes second = pack(rest);
    packed.insert(packed.end(), second.begin(), second.end());
    EXPECT_EQ(Parsed(packed).content.ReadAll().value(), file);
    packed.push_back(1);
    EXPECT_THAT(Refusal(packed), HasSubstr("is followed by something else"));
  }
}

TEST(KernelImageTest, WhatAZbootFileCallsItsPackingIsPrintable) {
  EXPECT_THAT(Refusal(Zboot("\x1b[31m\n", Bytes(7))),
              StartsWith("boot/k is a zboot file packed with "
                         "\"\\x1b[31m\\x0a\"; "));
  EXPECT_EQ(Parsed(Zboot("zstd\n", Zstandard(FileWith(Header())))).format,
            "zboot (zstd\\x0a)");
}

// Linux appends sizes to what it packs in a zboot file.
TEST(KernelImageTest, B12WhatFollowsTheStreamInAZbootFileIsIgnored) {
  const Bytes file = FileWith(Header());
  for (const auto& [name, pack] :
       {std::pair{"gzip", &Gzipped}, std::pair{"zstd", &Zstandard}}) {
    Bytes payload = pack(file);
    payload.insert(payload.end(), {0, 0x10, 0, 0});
    EXPECT_EQ(Parsed(Zboot(name, payload)).content.ReadAll().value(), file);
  }
}

// Offset and size are 32 bits each; their sum is not.
TEST(KernelImageTest, RefusesAZbootPayloadWhoseEndWraps) {
  Bytes file = Zboot("gzip", Gzipped(FileWith(Header())));
  ZbootHeader header;
  std::memcpy(&header, file.data(), sizeof(header));
  header.payload_size = UINT32_MAX - header.payload_offset + 2;
  Put(header, 0, file);
  EXPECT_THAT(Refusal(file), HasSubstr("is a zboot file that is cut short"));
}

TEST(KernelImageTest, RefusesASectionWhoseEndWraps) {
  Bytes file = EfiImage(0x1000, 0x1000);
  const uint32_t pe_offset = HeaderAt<ImageHeader>(file, 0)->pe_offset;
  const size_t at = pe_offset + sizeof(PeHeader) +
                    HeaderAt<PeHeader>(file, pe_offset)->optional_header_size;
  PeSection section;
  std::memcpy(&section, file.data() + at, sizeof(section));
  section.file_size = UINT32_MAX - 1;
  Put(section, at, file);
  EXPECT_THAT(Refusal(file), HasSubstr("is cut short"));
}

// A unified kernel image as ukify makes it: sections begin at 0x400.
Bytes Uki(const Bytes& kernel, const char* name = ".linux") {
  constexpr uint32_t kPeOffset = 128;
  constexpr uint16_t kOptionalHeader = 240;
  constexpr uint32_t kCommandLine = 0x400;
  constexpr uint32_t kKernel = 0x600;
  const auto size = static_cast<uint32_t>(kernel.size());
  const uint32_t padded = (size + 0x1ff) & ~0x1ffu;
  Bytes file(kKernel + padded);
  PutText("MZ", 0, file);
  Put(kPeOffset, offsetof(ImageHeader, pe_offset), file);
  Put(PeHeader{.magic = {'P', 'E'},
               .machine = 0xaa64,
               .sections = 2,
               .unused = {},
               .optional_header_size = kOptionalHeader,
               .characteristics = 0},
      kPeOffset, file);
  PeSection command_line = {.name = {'.', 'c', 'm', 'd', 'l', 'i', 'n', 'e'},
                            .memory_size = 5,
                            .memory_offset = 0x1000,
                            .file_size = 0x200,
                            .file_offset = kCommandLine,
                            .unused = {}};
  PeSection section = {.name = {},
                       .memory_size = size,
                       .memory_offset = 0x2000,
                       .file_size = padded,
                       .file_offset = kKernel,
                       .unused = {}};
  std::memcpy(section.name, name, strnlen(name, sizeof(section.name)));
  const size_t table = kPeOffset + sizeof(PeHeader) + kOptionalHeader;
  Put(command_line, table, file);
  Put(section, table + sizeof(PeSection), file);
  std::copy(kernel.begin(), kernel.end(), file.begin() + kKernel);
  return file;
}

constexpr size_t kUkiPe = 128;
constexpr size_t kUkiLinux = 128 + sizeof(PeHeader) + 240 + sizeof(PeSection);

TEST(KernelImageTest, A17TakesTheKernelOfAUnifiedKernelImage) {
  const Bytes file = FileWith(Header(), 0x1001);
  struct Case {
    Bytes kernel;
    const char* format;
  };
  for (const Case& c :
       {Case{file, "UKI, Image"}, Case{Gzipped(file), "UKI, Image (gzip)"},
        Case{Zboot("zstd", Zstandard(file)), "UKI, zboot (zstd)"}}) {
    const KernelImage image = Parsed(Uki(c.kernel));
    EXPECT_EQ(image.content.ReadAll().value(), file);
    EXPECT_EQ(image.format, c.format);
    EXPECT_EQ(image.note,
              "Image is a unified kernel image: its .linux is taken, its "
              ".initrd and .cmdline are not; to get one: "
              "aarch64-linux-gnu-objcopy --dump-section .initrd=initrd Image "
              "copy.efi");
  }
  EXPECT_EQ(Parsed(file).note, "");
}

TEST(KernelImageTest, D4NoPackingUnpacksToMoreThanIsAllowed) {
  constexpr size_t kBytes = 1 << 20;
  const Bytes file = FileWith(Header(), kBytes);
  for (const Bytes& packed :
       {Gzipped(file), Zstandard(file), Zboot("gzip", Gzipped(file)),
        Zboot("zstd22", Zstandard(file)), Uki(Gzipped(file))}) {
    const Content content{packed};
    EXPECT_TRUE(ParseKernel("k", content, kBytes).ok());
    EXPECT_THAT(
        std::string(ParseKernel("k", content, kBytes - 1).status().message()),
        HasSubstr("unpacks to more than 1048575 bytes; it is no kernel, or "
                  "needs more --memory"));
  }
}

TEST(KernelImageTest, A17SaysWhatIsInAUnifiedKernelImageInstead) {
  EXPECT_THAT(Refusal(Uki(FileWithMagic("HdrS", 0x202))),
              StartsWith("the .linux section of boot/k is an x86 kernel"));
  EXPECT_THAT(Refusal(Uki({})),
              StartsWith("the .linux section of boot/k is empty"));
  // One in another is no kernel.
  EXPECT_THAT(
      Refusal(Uki(Uki(FileWith(Header())))),
      StartsWith("the .linux section of boot/k is not an arm64 kernel"));
  EXPECT_THAT(Refusal(Uki(FileWith(Header()), ".linuxx")),
              StartsWith("boot/k is not an arm64 kernel"));
  EXPECT_EQ(
      Refusal(Uki(Zboot("xzkern", Bytes(100)))),
      "the .linux section of boot/k is a zboot file packed with "
      "\"xzkern\"; unpack it: tail -c +2049 boot/k | head -c 100 | xz -dc "
      ">Image");
}

TEST(KernelImageTest, A17RefusesAUnifiedKernelImageThatIsCutShort) {
  Bytes file = Uki(FileWith(Header()));
  file.pop_back();
  EXPECT_EQ(Refusal(file),
            "boot/k is a unified kernel image that is cut short; copy or "
            "download the file again");
}

TEST(KernelImageTest, A17TrustsNoHeaderOfAUnifiedKernelImage) {
  const Bytes good = Uki(FileWith(Header()));
  PeSection section;
  std::memcpy(&section, good.data() + kUkiLinux, sizeof(section));
  const auto with = [&](const PeSection& changed) {
    Bytes file = good;
    Put(changed, kUkiLinux, file);
    return file;
  };
  // Their sum wraps in 32 bits.
  PeSection wraps = section;
  wraps.file_size = UINT32_MAX - wraps.file_offset + 2;
  wraps.memory_size = UINT32_MAX;
  EXPECT_THAT(Refusal(with(wraps)), HasSubstr("that is cut short"));
  PeSection outside = section;
  outside.file_offset = UINT32_MAX;
  EXPECT_THAT(Refusal(with(outside)), HasSubstr("that is cut short"));
  // More in memory than in the file: what the file has.
  PeSection larger = section;
  larger.memory_size = UINT32_MAX;
  EXPECT_EQ(Parsed(with(larger)).content.size(), section.file_size);
  PeSection nothing = section;
  nothing.memory_size = 0;
  EXPECT_THAT(Refusal(with(nothing)), HasSubstr("is empty"));

  // A PE header, or a table, that is not in the file.
  for (const uint32_t pe_offset :
       {UINT32_MAX, static_cast<uint32_t>(good.size()) - 4}) {
    Bytes file = good;
    Put(pe_offset, offsetof(ImageHeader, pe_offset), file);
    EXPECT_THAT(Refusal(file), StartsWith("boot/k is not an arm64 kernel"));
  }
  Bytes many = good;
  std::memset(many.data() + kUkiLinux, 'x', sizeof(section.name));
  PeHeader header;
  std::memcpy(&header, many.data() + kUkiPe, sizeof(header));
  header.sections = UINT16_MAX;
  Put(header, kUkiPe, many);
  EXPECT_THAT(Refusal(many), StartsWith("boot/k is not an arm64 kernel"));
  header.optional_header_size = UINT16_MAX;
  Put(header, kUkiPe, many);
  EXPECT_THAT(Refusal(many), StartsWith("boot/k is not an arm64 kernel"));
}

}  // namespace
}  // namespace vmm
