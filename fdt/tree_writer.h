// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_FDT_TREE_WRITER_H_
#define PARKVMM_FDT_TREE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace fdt {

// The largest blob arm64 kernels take (Documentation/arch/arm64/booting.rst).
inline constexpr size_t kMaxTreeBytes = size_t{2} << 20;

// [base, base + size) in bytes of guest physical memory.
struct Region {
  uint64_t base = 0;
  uint64_t size = 0;
};

// Writes a devicetree blob with libfdt's sequential API.
//
// The first error sticks: later calls do nothing, Finish() reports it. So the
// code that describes a tree reads like the tree. Within a node, properties
// come before subnodes. One thread.
class TreeWriter {
 public:
  TreeWriter();
  TreeWriter(const TreeWriter&) = delete;
  TreeWriter& operator=(const TreeWriter&) = delete;

  // Everything `body` writes lands inside the node; the node closes itself.
  // The root is the one outermost node, and its name is "".
  void Node(absl::string_view name, absl::FunctionRef<void()> body);

  void Flag(absl::string_view name);
  void Cells(absl::string_view name, absl::Span<const uint32_t> cells);
  void U64(absl::string_view name, uint64_t value);  // Two cells.
  // `reg`, 2 address and 2 size cells each.
  void Reg(absl::Span<const Region> regions);
  void String(absl::string_view name, absl::string_view value);
  void Strings(absl::string_view name,
               absl::Span<const absl::string_view> values);
  void Bytes(absl::string_view name, absl::Span<const uint8_t> bytes);

  // The blob, at most kMaxTreeBytes, or the first error: kResourceExhausted if
  // the tree is larger. The writer is spent afterwards.
  absl::StatusOr<std::vector<uint8_t>> Finish() &&;

 private:
  // Runs one libfdt call on the blob, again with more room as long as it asks.
  void Write(absl::FunctionRef<int(void* blob)> step);
  int Grow();
  void Property(absl::string_view name, const void* value, size_t size);

  std::vector<uint8_t> buffer_;
  absl::Status status_;
};

}  // namespace fdt

#endif  // PARKVMM_FDT_TREE_WRITER_H_
