// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tree_view.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/scratch.h"

namespace {

std::string Slurp(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

DtcOutput Dtc(absl::string_view arguments) {
  const std::string tree = vmm::ScratchPath("out");
  const std::string complaints = vmm::ScratchPath("err");
  const std::string command =
      absl::StrCat("dtc -s ", arguments, " >", tree, " 2>", complaints);
  EXPECT_EQ(std::system(command.c_str()), 0)
      << command << "\n"
      << Slurp(complaints) << "Is device-tree-compiler installed?";
  return {Slurp(tree), Slurp(complaints)};
}

}  // namespace

TreeView::TreeView(std::vector<uint8_t> blob) : blob_(std::move(blob)) {
  EXPECT_EQ(fdt_check_full(blob_.data(), blob_.size()), 0);
}

bool TreeView::Has(const std::string& path) const {
  return fdt_path_offset(blob_.data(), path.c_str()) >= 0;
}

bool TreeView::Has(const std::string& path, const std::string& property) const {
  const int node = fdt_path_offset(blob_.data(), path.c_str());
  return fdt_getprop(blob_.data(), node, property.c_str(), nullptr) != nullptr;
}

std::vector<std::string> TreeView::Children(const std::string& path) const {
  std::vector<std::string> names;
  const int parent = fdt_path_offset(blob_.data(), path.c_str());
  EXPECT_GE(parent, 0) << path;
  int node = 0;
  fdt_for_each_subnode(node, blob_.data(), parent) {
    names.emplace_back(fdt_get_name(blob_.data(), node, nullptr));
  }
  return names;
}

std::vector<uint8_t> TreeView::Bytes(const std::string& path,
                                     const std::string& property) const {
  const int node = fdt_path_offset(blob_.data(), path.c_str());
  int size = 0;
  const auto* bytes = static_cast<const uint8_t*>(
      fdt_getprop(blob_.data(), node, property.c_str(), &size));
  EXPECT_NE(bytes, nullptr) << path << " " << property;
  if (bytes == nullptr) return {};
  return {bytes, bytes + size};
}

std::vector<uint32_t> TreeView::Cells(const std::string& path,
                                      const std::string& property) const {
  const std::vector<uint8_t> bytes = Bytes(path, property);
  EXPECT_EQ(bytes.size() % 4, 0u) << path << " " << property;
  std::vector<uint32_t> cells;
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    cells.push_back(uint32_t{bytes[i]} << 24 | uint32_t{bytes[i + 1]} << 16 |
                    uint32_t{bytes[i + 2]} << 8 | uint32_t{bytes[i + 3]});
  }
  return cells;
}

std::vector<std::string> TreeView::Strings(const std::string& path,
                                           const std::string& property) const {
  std::vector<uint8_t> bytes = Bytes(path, property);
  EXPECT_TRUE(!bytes.empty() && bytes.back() == 0) << path << " " << property;
  if (bytes.empty()) return {};
  bytes.pop_back();
  return absl::StrSplit(std::string(bytes.begin(), bytes.end()), '\0');
}

DtcOutput DecompileTree(const std::vector<uint8_t>& blob) {
  const std::string path = vmm::ScratchPath("dtb");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(blob.data()),
             static_cast<std::streamsize>(blob.size()));
  return Dtc(absl::StrCat("-I dtb -O dts ", path));
}

DtcOutput NormalizeTree(const std::string& source_path) {
  const DtcOutput compiled = Dtc(absl::StrCat("-I dts -O dtb ", source_path));
  DtcOutput output = DecompileTree(
      std::vector<uint8_t>(compiled.tree.begin(), compiled.tree.end()));
  output.complaints = absl::StrCat(compiled.complaints, output.complaints);
  return output;
}
