// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/console.h"

#include <atomic>

#include "guest-stub/arch.h"
#include "guest-stub/board.h"

namespace stub {
namespace {

// PL011 (DDI 0183).
constexpr uint64_t kData = board::kPl011;
constexpr uint64_t kFlag = board::kPl011 + 0x18;
constexpr uint32_t kFlagTransmitFull = 1u << 5;

constinit std::atomic<uint32_t> locked = 0;

void PutByte(char byte) {
  while ((ReadMmio32(kFlag) & kFlagTransmitFull) != 0) {
  }
  WriteMmio32(kData, static_cast<uint8_t>(byte));
}

}  // namespace

ConsoleLock::ConsoleLock() {
  while (locked.exchange(1) != 0) AwaitChange(locked, 1);
}

ConsoleLock::~ConsoleLock() { locked = 0; }

void Put(const char* text) {
  for (; *text != '\0'; ++text) PutByte(*text);
}

void Put(Hex number) {
  Put("0x");
  int shift = 60;
  while (shift > 0 && number.value >> shift == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) {
    PutByte("0123456789abcdef"[number.value >> shift & 15]);
  }
}

void PutDecimal(int64_t number) {
  char digits[24];
  char* first = &digits[sizeof(digits) - 1];
  *first = '\0';
  auto rest = static_cast<uint64_t>(number);
  if (number < 0) {
    PutByte('-');
    rest = -rest;
  }
  do {
    *--first = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  Put(first);
}

}  // namespace stub
