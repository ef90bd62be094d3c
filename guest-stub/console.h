// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_CONSOLE_H_
#define PARKVMM_GUEST_STUB_CONSOLE_H_

#include <concepts>
#include <cstdint>

namespace stub {

struct Hex {
  uint64_t value;
};

// Any CPU; polled. A line that several of these make is torn if others print.
void Put(const char* text);
void Put(Hex number);
void PutDecimal(int64_t number);
void Put(std::integral auto number) {
  PutDecimal(static_cast<int64_t>(number));
}

// No two CPUs print a line at once.
class ConsoleLock {
 public:
  ConsoleLock();
  ~ConsoleLock();
  ConsoleLock(const ConsoleLock&) = delete;
  ConsoleLock& operator=(const ConsoleLock&) = delete;
};

// Print("CPU ", 3, " at ", Hex{0x1000}): a line.
void Print(auto... parts) {
  const ConsoleLock lock;
  (Put(parts), ...);
  Put("\n");
}

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_CONSOLE_H_
