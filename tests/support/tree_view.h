// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_TREE_VIEW_H_
#define PARKVMM_TESTS_SUPPORT_TREE_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Reads a devicetree blob. What is missing fails the test that asked for it
// and reads as empty; so does a blob that libfdt finds malformed.
class TreeView {
 public:
  explicit TreeView(std::vector<uint8_t> blob);

  bool Has(const std::string& path) const;  // A node.
  bool Has(const std::string& path, const std::string& property) const;
  std::vector<std::string> Children(const std::string& path) const;
  std::vector<uint8_t> Bytes(const std::string& path,
                             const std::string& property) const;
  std::vector<uint32_t> Cells(const std::string& path,
                              const std::string& property) const;
  std::vector<std::string> Strings(const std::string& path,
                                   const std::string& property) const;

 private:
  const std::vector<uint8_t> blob_;
};

// What dtc printed: a tree with nodes and properties in sorted order, and its
// complaints. A missing or failing dtc fails the test.
struct DtcOutput {
  std::string tree;
  std::string complaints;
};
DtcOutput DecompileTree(const std::vector<uint8_t>& blob);
// The same for a source file, compiled and decompiled: what two trees mean can
// be compared, however dtc prints.
DtcOutput NormalizeTree(const std::string& source_path);

#endif  // PARKVMM_TESTS_SUPPORT_TREE_VIEW_H_
