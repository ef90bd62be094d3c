// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/symbols.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/memory_use.h"
#include "tests/support/scratch.h"

namespace vmm {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

constexpr uint64_t kText = 0xffff800080010000;
constexpr uint64_t kVectors = kText + 0x800;
constexpr uint64_t kMoved = 0x2b000000;

Content Text(const std::string& text) {
  return Content(Bytes(text.begin(), text.end()));
}

// A vmlinux with five symbols: no section but what these need.
Bytes Vmlinux() {
  const std::string names(
      "\0$x\0_text\0vectors\0cpu_do_idle\0jiffies\0_etext\0", 45);
  const auto symbol = [&](const char* name, uint64_t value,
                          unsigned char type) {
    return Elf64_Sym{.st_name = static_cast<uint32_t>(
                         names.find(std::string(1, '\0') + name + '\0') + 1),
                     .st_info = type,
                     .st_other = 0,
                     .st_shndx = 1,
                     .st_value = value,
                     .st_size = 0};
  };
  const Elf64_Sym symbols[] = {symbol("cpu_do_idle", kText + 0x10000, STT_FUNC),
                               symbol("$x", kText + 0x10000, STT_NOTYPE),
                               symbol("jiffies", kText + 0x10004, STT_OBJECT),
                               symbol("vectors", kVectors, STT_FUNC),
                               symbol("_text", kText, STT_NOTYPE),
                               symbol("_etext", kText + 0x20000, STT_NOTYPE)};
  Elf64_Shdr sections[2] = {};
  sections[0].sh_type = SHT_SYMTAB;
  sections[0].sh_offset = sizeof(Elf64_Ehdr) + sizeof(sections);
  sections[0].sh_size = sizeof(symbols);
  sections[0].sh_link = 1;
  sections[1].sh_type = SHT_STRTAB;
  sections[1].sh_offset = sections[0].sh_offset + sections[0].sh_size;
  sections[1].sh_size = names.size();
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = EM_AARCH64;
  header.e_shoff = sizeof(header);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = std::size(sections);
  Bytes file;
  const auto add = [&file](const void* from, size_t bytes) {
    const auto* const begin = static_cast<const uint8_t*>(from);
    file.insert(file.end(), begin, begin + bytes);
  };
  add(&header, sizeof(header));
  add(sections, sizeof(sections));
  add(symbols, sizeof(symbols));
  add(names.data(), names.size());
  return file;
}

const char kMap[] =
    "0000000000000000 A _kernel_flags\n"
    "ffff800080010000 T _text\n"
    "ffff800080010800 T vectors\n"
    "ffff800080020000 t cpu_do_idle\n"
    "ffff800080020000 t $x\n"
    "ffff800080020004 D jiffies\n"
    "ffff800080030000 D _etext\n"
    "ffff800080040000 T __init_begin\n";

class SymbolsTest : public testing::TestWithParam<bool> {
 protected:
  const Symbols symbols_ =
      *Symbols::Read("k", GetParam() ? Content(Vmlinux()) : Text(kMap));
};

TEST_P(SymbolsTest, AFunctionHasWhatIsBetweenItAndTheNext) {
  EXPECT_EQ(symbols_.NameOf(kText, kVectors), "_text+0x0");
  EXPECT_EQ(symbols_.NameOf(kVectors - 4, kVectors), "_text+0x7fc");
  EXPECT_EQ(symbols_.NameOf(kVectors, kVectors), "vectors+0x0");
  EXPECT_EQ(symbols_.NameOf(kText + 0x10010, kVectors), "cpu_do_idle+0x10");
}

TEST_P(SymbolsTest, WhatIsNotInTheTextHasNone) {
  EXPECT_EQ(symbols_.NameOf(kText - 4, kVectors), "");
  EXPECT_EQ(symbols_.NameOf(kText + 0x20000, kVectors), "");
  EXPECT_EQ(symbols_.NameOf(0, kVectors), "");
}

TEST_P(SymbolsTest, TheVectorsTellHowFarTheKernelWasMoved) {
  EXPECT_EQ(symbols_.NameOf(kText + kMoved + 0x10010, kVectors + kMoved),
            "cpu_do_idle+0x10");
  EXPECT_EQ(symbols_.NameOf(kText - kMoved + 0x10010, kVectors - kMoved),
            "cpu_do_idle+0x10");
  EXPECT_EQ(symbols_.NameOf(kText + 0x10010, kVectors + kMoved), "");
}

// Not set yet, or those of another program.
TEST_P(SymbolsTest, VectorsThatCannotBeTheKernelsMoveNothing) {
  for (const uint64_t vectors : {uint64_t{0}, uint64_t{0x40001000}}) {
    EXPECT_EQ(symbols_.NameOf(kText + 0x10010, vectors), "cpu_do_idle+0x10");
  }
}

// A file may say that it holds a table of 256 MiB.
TEST(SymbolsMemoryTest, ATableThatIsNotThereTakesNoMemory) {
  Bytes file = Vmlinux();
  Elf64_Shdr table;
  std::memcpy(&table, &file[sizeof(Elf64_Ehdr)], sizeof(table));
  table.sh_size = uint64_t{256} << 20;
  std::memcpy(&file[sizeof(Elf64_Ehdr)], &table, sizeof(table));
  const auto read = [&] {
    bool refused = false;
    const bool small = TakesLessThan(
        64, [&] { refused = !Symbols::Read("k", Content(file)).ok(); });
    exit(small && refused ? 0 : 1);
  };
  EXPECT_EXIT(read(), testing::ExitedWithCode(0), "");
}

INSTANTIATE_TEST_SUITE_P(All, SymbolsTest, testing::Bool(),
                         [](const auto& test) {
                           return test.param ? "Vmlinux" : "SystemMap";
                         });

std::string Refusal(const Content& file) {
  const absl::Status status = Symbols::Read("k", file).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(SymbolsFileTest, WhatIsNeitherIsRefusedWithTheRemedy) {
  EXPECT_THAT(Refusal(Text("")), HasSubstr("k is empty"));
  EXPECT_THAT(Refusal(Text("#!/bin/sh\n")),
              HasSubstr("k is no map of symbols; pass the System.map or the "
                        "vmlinux of the kernel"));
  EXPECT_THAT(Refusal(Text("ffff800080020004 D jiffies\n")),
              HasSubstr("names no function"));
  Bytes other = Vmlinux();
  other[offsetof(Elf64_Ehdr, e_machine)] = EM_X86_64;
  EXPECT_THAT(Refusal(Content(other)), HasSubstr("another machine"));
}

class SymbolsOnDiskTest : public testing::Test {
 protected:
  ~SymbolsOnDiskTest() override { unlink(path_.c_str()); }
  // A file of these bytes, and of zeros up to `size`.
  Content Opened(const Bytes& bytes, off_t size) const {
    std::ofstream(path_).write(reinterpret_cast<const char*>(bytes.data()),
                               static_cast<std::streamsize>(bytes.size()));
    EXPECT_EQ(truncate(path_.c_str(), size), 0);
    return *Content::Open(path_, uint64_t{1} << 40);
  }
  const std::string path_ = ScratchPath("symbols");
};

TEST_F(SymbolsOnDiskTest, AMapIsNoLargerThanMapsAre) {
  EXPECT_THAT(Refusal(Opened({}, (off_t{256} << 20) + 1)),
              HasSubstr("k is no map of symbols; pass"));
}

TEST_F(SymbolsOnDiskTest, AVmlinuxThatIsCutShortMeanwhileIsNotBlamed) {
  const Bytes whole = Vmlinux();
  const Content file = Opened(whole, static_cast<off_t>(whole.size()));
  ASSERT_EQ(truncate(path_.c_str(), SELFMAG + 1), 0);
  EXPECT_EQ(Symbols::Read("k", file).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(SymbolsFileTest, AVmlinuxWithoutFunctionsIsRefused) {
  Bytes file = Vmlinux();
  Elf64_Shdr table;
  std::memcpy(&table, &file[sizeof(Elf64_Ehdr)], sizeof(table));
  for (size_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
    file[table.sh_offset + at + offsetof(Elf64_Sym, st_info)] = STT_OBJECT;
  }
  EXPECT_THAT(Refusal(Content(file)), HasSubstr("without symbols"));
}

TEST(SymbolsFileTest, NoVmlinuxThatIsCutShortIsRead) {
  const Bytes whole = Vmlinux();
  for (size_t size = SELFMAG; size < whole.size(); ++size) {
    EXPECT_THAT(
        Refusal(Content(Bytes(whole.begin(),
                              whole.begin() + static_cast<ptrdiff_t>(size)))),
        HasSubstr("k is a damaged ELF file"))
        << size;
  }
}

TEST(SymbolsFileTest, NoFieldOfAVmlinuxIsTrusted) {
  const Bytes whole = Vmlinux();
  for (size_t at = SELFMAG; at < whole.size(); ++at) {
    Bytes file = whole;
    file[at] ^= 0xff;
    if (const auto symbols = Symbols::Read("k", Content(file)); symbols.ok()) {
      const std::string name = symbols->NameOf(kText + 4, kVectors);
      EXPECT_LT(name.size(), 64u);
      for (const char c : name) EXPECT_TRUE(c > ' ' && c < 0x7f) << name;
    }
  }
}

}  // namespace
}  // namespace vmm
