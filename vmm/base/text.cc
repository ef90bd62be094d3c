// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/text.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_format.h"

namespace vmm {
namespace {

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: this is no UTF-8.
};

// The bytes of a character by its first one, and what is in that one.
Character Begin(uint8_t first) {
  if (first < 0x80) return {first, 1};
  if (first >= 0xc2 && first < 0xe0) return {first & 0x1fu, 2};
  if (first >= 0xe0 && first < 0xf0) return {first & 0x0fu, 3};
  if (first >= 0xf0 && first < 0xf5) return {first & 0x07u, 4};
  return {};
}

// Whether so many bytes are the shortest form of a character that there is.
bool IsProper(const Character& each) {
  switch (each.bytes) {
    case 3:
      return each.code >= 0x800 && (each.code < 0xd800 || each.code > 0xdfff);
    case 4:
      return each.code >= 0x10000 && each.code <= 0x10ffff;
    default:
      return true;
  }
}

// RFC 3629. `text` is not empty.
Character Decode(absl::string_view text) {
  Character each = Begin(static_cast<uint8_t>(text[0]));
  if (each.bytes > text.size()) return {};
  for (size_t i = 1; i < each.bytes; ++i) {
    const auto next = static_cast<uint8_t>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    each.code = each.code << 6 | (next & 0x3fu);
  }
  return IsProper(each) ? each : Character{};
}

bool IsControl(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

// Neither XML nor YAML has them, escaped or not.
bool IsNoCharacter(uint32_t code) { return code == 0xfffe || code == 0xffff; }

}  // namespace

std::string Printable(absl::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Character each = Decode(text);
    const size_t size = each.bytes == 0 ? 1 : each.bytes;
    const absl::string_view bytes = text.substr(0, size);
    if (each.bytes != 0 && !IsControl(each.code) && !IsNoCharacter(each.code)) {
      result.append(bytes.data(), bytes.size());
    } else {
      for (const char byte : bytes) {
        absl::StrAppendFormat(&result, "\\x%02x", static_cast<uint8_t>(byte));
      }
    }
    text.remove_prefix(size);
  }
  return result;
}

}  // namespace vmm
