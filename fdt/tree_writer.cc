// SPDX-License-Identifier: Apache-2.0
#include "fdt/tree_writer.h"

#include <libfdt.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fdt {
namespace {

constexpr size_t kFirstBytes = 4096;

constexpr uint32_t High(uint64_t value) {
  return static_cast<uint32_t>(value >> 32);
}

constexpr uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }

}  // namespace

TreeWriter::TreeWriter() : buffer_(kFirstBytes) {
  Write([](void* blob) {
    // Names that repeat are written again: to look for one takes libfdt longer
    // than all else of a small machine's tree.
    return fdt_create_with_flags(blob, static_cast<int>(kFirstBytes),
                                 FDT_CREATE_FLAG_NO_NAME_DEDUP);
  });
  Write(fdt_finish_reservemap);
}

void TreeWriter::Node(absl::string_view name, absl::FunctionRef<void()> body) {
  const std::string terminated(name);
  Write([&](void* blob) { return fdt_begin_node(blob, terminated.c_str()); });
  body();
  Write(fdt_end_node);
}

void TreeWriter::Flag(absl::string_view name) { Property(name, nullptr, 0); }

void TreeWriter::Cells(absl::string_view name,
                       absl::Span<const uint32_t> cells) {
  std::vector<fdt32_t> encoded;
  encoded.reserve(cells.size());
  for (const uint32_t cell : cells) encoded.push_back(cpu_to_fdt32(cell));
  Property(name, encoded.data(), encoded.size() * sizeof(fdt32_t));
}

void TreeWriter::U64(absl::string_view name, uint64_t value) {
  Cells(name, {High(value), Low(value)});
}

void TreeWriter::Reg(absl::Span<const Region> regions) {
  std::vector<uint32_t> cells;
  cells.reserve(regions.size() * 4);
  for (const Region& region : regions) {
    cells.insert(cells.end(), {High(region.base), Low(region.base),
                               High(region.size), Low(region.size)});
  }
  Cells("reg", cells);
}

void TreeWriter::String(absl::string_view name, absl::string_view value) {
  Strings(name, {value});
}

void TreeWriter::Strings(absl::string_view name,
                         absl::Span<const absl::string_view> values) {
  std::string encoded;
  for (const absl::string_view value : values) {
    absl::StrAppend(&encoded, value);
    encoded.push_back('\0');
  }
  Property(name, encoded.data(), encoded.size());
}

void TreeWriter::Bytes(absl::string_view name,
                       absl::Span<const uint8_t> bytes) {
  Property(name, bytes.data(), bytes.size());
}

absl::StatusOr<std::vector<uint8_t>> TreeWriter::Finish() && {
  Write(fdt_finish);
  if (!status_.ok()) return status_;
  buffer_.resize(fdt_totalsize(buffer_.data()));
  return std::move(buffer_);
}

void TreeWriter::Write(absl::FunctionRef<int(void* blob)> step) {
  if (!status_.ok()) return;
  int result = step(buffer_.data());
  while (result == -FDT_ERR_NOSPACE && buffer_.size() < kMaxTreeBytes) {
    result = Grow();
    if (result == 0) result = step(buffer_.data());
  }
  if (result == -FDT_ERR_NOSPACE) {
    status_ = absl::ResourceExhaustedError(
        absl::StrCat("the devicetree is larger than ", kMaxTreeBytes >> 20,
                     " MiB, the most an arm64 kernel takes"));
  } else if (result != 0) {
    status_ = absl::InternalError(
        absl::StrCat("cannot write the devicetree: ", fdt_strerror(result)));
  }
}

int TreeWriter::Grow() {
  std::vector<uint8_t> larger(buffer_.size() * 2);
  const int result = fdt_resize(buffer_.data(), larger.data(),
                                static_cast<int>(larger.size()));
  buffer_ = std::move(larger);
  return result;
}

void TreeWriter::Property(absl::string_view name, const void* value,
                          size_t size) {
  if (size > kMaxTreeBytes) {
    // libfdt counts in int.
    return Write([](void*) { return -FDT_ERR_NOSPACE; });
  }
  const std::string terminated(name);
  Write([&](void* blob) {
    return fdt_property(blob, terminated.c_str(), value,
                        static_cast<int>(size));
  });
}

}  // namespace fdt
