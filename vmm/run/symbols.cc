// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/symbols.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "vmm/base/status_macros.h"

namespace vmm {
namespace {

// Of a table or a map; those of the largest kernels are a tenth of it.
constexpr uint64_t kMaxBytes = uint64_t{256} << 20;
constexpr char kVectors[] = "vectors";
constexpr char kEnd[] = "_etext";
// A kernel is moved by pages at least.
constexpr uint64_t kPageMask = 0xfff;

absl::Status Refused(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      name, " ", what, "; pass the System.map or the vmlinux of the kernel"));
}

template <typename T>
absl::StatusOr<std::vector<T>> ReadArray(const Content& file, uint64_t offset,
                                         uint64_t bytes) {
  if (bytes > kMaxBytes) {
    return absl::OutOfRangeError("a table of over 256 MiB");
  }
  if (offset > file.size() || bytes > file.size() - offset) {
    return absl::OutOfRangeError("a table that the file does not have");
  }
  std::vector<T> array(bytes / sizeof(T));
  RETURN_IF_ERROR(file.ReadAt(
      offset, absl::MakeSpan(reinterpret_cast<uint8_t*>(array.data()),
                             array.size() * sizeof(T))));
  return array;
}

// Mapping symbols of the AArch64 ELF ABI ("$x", "$d.3") name no function. What
// is printed of a file is printable, and as long as Linux's names may be.
bool IsFunction(absl::string_view name) {
  constexpr size_t kMaxName = 512;  // KSYM_NAME_LEN.
  return !name.empty() && name.size() <= kMaxName && name.front() != '$' &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return absl::ascii_isgraph(c); });
}

}  // namespace

absl::StatusOr<Symbols> Symbols::Read(absl::string_view name,
                                      const Content& file) {
  if (file.empty()) return Refused(name, "is empty");
  char magic[SELFMAG] = {};
  if (file.size() >= sizeof(magic)) {
    RETURN_IF_ERROR(file.ReadAt(
        0, absl::MakeSpan(reinterpret_cast<uint8_t*>(magic), sizeof(magic))));
  }
  absl::StatusOr<Symbols> symbols = std::memcmp(magic, ELFMAG, SELFMAG) == 0
                                        ? OfElf(name, file)
                                        : OfMap(name, file);
  if (symbols.ok()) symbols->Index();
  return symbols;
}

// Lines such as "ffff800080010000 T _text".
absl::StatusOr<Symbols> Symbols::OfMap(absl::string_view name,
                                       const Content& file) {
  if (file.size() > kMaxBytes) return Refused(name, "is no map of symbols");
  ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, file.ReadAll());
  const absl::string_view text(reinterpret_cast<const char*>(bytes.data()),
                               bytes.size());
  Symbols symbols;
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    uint64_t address = 0;
    if (words.size() != 3 || words[1].size() != 1 ||
        !absl::SimpleHexAtoi(words[0], &address)) {
      return Refused(name, "is no map of symbols");
    }
    const bool is_code =
        absl::string_view("tTwW").find(words[1]) != absl::string_view::npos;
    if (is_code && IsFunction(words[2])) {
      symbols.symbols_.push_back({address, std::string(words[2])});
    } else if (words[2] == kEnd) {
      symbols.symbols_.push_back({address, kEnd});
    }
  }
  if (symbols.symbols_.empty()) return Refused(name, "names no function");
  return symbols;
}

absl::StatusOr<Symbols> Symbols::OfElf(absl::string_view name,
                                       const Content& file) {
  const absl::Status damaged =
      Refused(name, "is a damaged ELF file, or one without symbols");
  Elf64_Ehdr header;
  if (file.size() < sizeof(header)) return damaged;
  RETURN_IF_ERROR(file.ReadAt(
      0, absl::MakeSpan(reinterpret_cast<uint8_t*>(&header), sizeof(header))));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_AARCH64) {
    return Refused(name, "is an ELF file of another machine than AArch64");
  }
  if (header.e_shentsize != sizeof(Elf64_Shdr)) return damaged;
  const auto sections = ReadArray<Elf64_Shdr>(
      file, header.e_shoff, uint64_t{header.e_shnum} * sizeof(Elf64_Shdr));
  if (!sections.ok()) return damaged;
  const auto table = std::find_if(
      sections->begin(), sections->end(),
      [](const Elf64_Shdr& section) { return section.sh_type == SHT_SYMTAB; });
  if (table == sections->end() || table->sh_link >= sections->size()) {
    return damaged;
  }
  const Elf64_Shdr& strings = (*sections)[table->sh_link];
  const auto entries =
      ReadArray<Elf64_Sym>(file, table->sh_offset, table->sh_size);
  const auto names = ReadArray<char>(file, strings.sh_offset, strings.sh_size);
  if (!entries.ok() || !names.ok()) return damaged;
  Symbols symbols;
  for (const Elf64_Sym& entry : *entries) {
    if (entry.st_name >= names->size()) continue;
    const char* const begin = names->data() + entry.st_name;
    const std::string symbol(begin,
                             strnlen(begin, names->size() - entry.st_name));
    const bool is_code = ELF64_ST_TYPE(entry.st_info) == STT_FUNC ||
                         ELF64_ST_TYPE(entry.st_info) == STT_NOTYPE;
    if (entry.st_shndx != SHN_UNDEF && entry.st_shndx != SHN_ABS && is_code &&
        IsFunction(symbol)) {
      symbols.symbols_.push_back({entry.st_value, symbol});
    }
  }
  if (symbols.symbols_.empty()) return damaged;
  return symbols;
}

void Symbols::Index() {
  std::stable_sort(
      symbols_.begin(), symbols_.end(),
      [](const Symbol& a, const Symbol& b) { return a.address < b.address; });
  for (const Symbol& symbol : symbols_) {
    if (symbol.name == kVectors) vectors_ = symbol.address;
    if (symbol.name == kEnd) end_ = symbol.address;
  }
}

std::string Symbols::NameOf(uint64_t pc, uint64_t vectors) const {
  uint64_t moved = vectors - vectors_;
  if (vectors == 0 || vectors_ == 0 || (moved & kPageMask) != 0) moved = 0;
  const uint64_t linked = pc - moved;
  if (linked >= end_) return "";
  const auto after =
      std::upper_bound(symbols_.begin(), symbols_.end(), linked,
                       [](uint64_t address, const Symbol& symbol) {
                         return address < symbol.address;
                       });
  if (after == symbols_.begin()) return "";
  const Symbol& symbol = *std::prev(after);
  return absl::StrFormat("%s+0x%x", symbol.name, linked - symbol.address);
}

}  // namespace vmm
