// SPDX-License-Identifier: Apache-2.0
// Any tree, written and read again: it is the same.
#include <libfdt.h>

#include "fdt/tree_writer.h"
#include "tests/fuzz/fuzzer.h"

namespace {

constexpr unsigned kMostDepth = 12;
constexpr size_t kMostNodes = 200;

// What was written, in the order of a devicetree's structure block.
struct Item {
  enum class Kind { kBegin, kProperty, kEnd } kind;
  std::string name;
  std::string value;
  friend bool operator==(const Item&, const Item&) = default;
};

// libfdt takes any name that is a C string.
std::string NameFrom(fuzz::Input& input) {
  std::string name = input.TakeText(input.TakeBelow(32));
  std::replace(name.begin(), name.end(), '\0', '.');
  return name;
}

std::string BigEndian(uint64_t value, unsigned bytes) {
  std::string text;
  while (bytes-- > 0) text.push_back(static_cast<char>(value >> (8 * bytes)));
  return text;
}

class Writer {
 public:
  explicit Writer(fuzz::Input& input) : input_(input) {}

  void Node(const std::string& name, unsigned depth) {
    items_.push_back({Item::Kind::kBegin, name, ""});
    tree_.Node(name, [&] {
      for (unsigned i = input_.TakeBelow(6); i > 0; --i) Property();
      for (unsigned i = input_.TakeBelow(4);
           i > 0 && depth < kMostDepth && nodes_ < kMostNodes; --i) {
        ++nodes_;
        Node(NameFrom(input_), depth + 1);
      }
    });
    items_.push_back({Item::Kind::kEnd, "", ""});
  }

  const std::vector<Item>& items() const { return items_; }
  absl::StatusOr<std::vector<uint8_t>> Finish() {
    return std::move(tree_).Finish();
  }

 private:
  void Property() {
    const std::string name = NameFrom(input_);
    std::string value;
    switch (input_.TakeBelow(6)) {
      case 0:
        tree_.Flag(name);
        break;
      case 1: {
        std::vector<uint32_t> cells(input_.TakeBelow(20));
        for (uint32_t& cell : cells) {
          cell = input_.Take<uint32_t>();
          value += BigEndian(cell, 4);
        }
        tree_.Cells(name, cells);
        break;
      }
      case 2: {
        const auto number = input_.Take<uint64_t>();
        value = BigEndian(number, 8);
        tree_.U64(name, number);
        break;
      }
      case 3: {
        const fdt::Region region = {input_.Take<uint64_t>(),
                                    input_.Take<uint64_t>()};
        value = BigEndian(region.base, 8) + BigEndian(region.size, 8);
        tree_.Reg({region});
        items_.push_back({Item::Kind::kProperty, "reg", value});
        return;
      }
      case 4: {
        const std::string text = input_.TakeShortText();
        value = text + std::string(1, '\0');
        tree_.String(name, text);
        break;
      }
      default: {
        // Far more than the writer begins with, now and then.
        value.assign(size_t{input_.Take<uint16_t>()} * 16, 'x');
        tree_.Bytes(name, {reinterpret_cast<const uint8_t*>(value.data()),
                           value.size()});
      }
    }
    items_.push_back({Item::Kind::kProperty, name, value});
  }

  fuzz::Input& input_;
  fdt::TreeWriter tree_;
  std::vector<Item> items_;
  size_t nodes_ = 0;
};

std::vector<Item> Read(const std::vector<uint8_t>& blob) {
  std::vector<Item> items;
  const void* const tree = blob.data();
  int offset = 0;
  for (;;) {
    int next = 0;
    const uint32_t tag = fdt_next_tag(tree, offset, &next);
    if (tag == FDT_END) return items;
    if (tag == FDT_BEGIN_NODE) {
      items.push_back(
          {Item::Kind::kBegin, fdt_get_name(tree, offset, nullptr), ""});
    } else if (tag == FDT_END_NODE) {
      items.push_back({Item::Kind::kEnd, "", ""});
    } else if (tag == FDT_PROP) {
      const char* name = nullptr;
      int size = 0;
      const auto* const value = static_cast<const char*>(
          fdt_getprop_by_offset(tree, offset, &name, &size));
      FUZZ_CHECK(value != nullptr);
      items.push_back({Item::Kind::kProperty, name,
                       std::string(value, static_cast<size_t>(size))});
    }
    offset = next;
  }
}

}  // namespace

FUZZ_TARGET(fdt) {
  Writer writer(input);
  writer.Node("", 0);
  const auto blob = writer.Finish();
  if (!blob.ok()) {
    FUZZ_CHECK(blob.status().code() == absl::StatusCode::kResourceExhausted);
    return;
  }
  FUZZ_CHECK(blob->size() <= fdt::kMaxTreeBytes);
  FUZZ_CHECK(fdt_check_full(blob->data(), blob->size()) == 0);
  FUZZ_CHECK(Read(*blob) == writer.items());
}
