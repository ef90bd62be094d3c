// SPDX-License-Identifier: Apache-2.0
// What the compiler calls unasked.
#include <cstddef>

extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
  while (size-- > 0) *target++ = *source++;
  return to;
}

void* memset(void* to, int value, size_t size) {
  auto* target = static_cast<char*>(to);
  while (size-- > 0) *target++ = static_cast<char>(value);
  return to;
}

}  // extern "C"
