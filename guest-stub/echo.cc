// SPDX-License-Identifier: Apache-2.0
// Sends back what is typed, byte by byte, up to an end of transmission.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/report.h"

namespace stub {
namespace {

// PL011 (DDI 0183).
constexpr uint64_t kData = board::kPl011;
constexpr uint64_t kFlag = board::kPl011 + 0x18;
constexpr uint64_t kControl = board::kPl011 + 0x30;
constexpr uint32_t kFlagReceiveEmpty = 1u << 4;
constexpr uint32_t kFlagTransmitFull = 1u << 5;
constexpr uint32_t kEnable = 1u << 0 | 1u << 8 | 1u << 9;  // Both directions.
constexpr uint32_t kEndOfTransmission = 0x04;              // ctrl-d

uint32_t NextByte() {
  while ((ReadMmio32(kFlag) & kFlagReceiveEmpty) != 0) {
  }
  return ReadMmio32(kData) & 0xff;
}

// Any byte, also one that ends a string.
void SendByte(uint32_t byte) {
  while ((ReadMmio32(kFlag) & kFlagTransmitFull) != 0) {
  }
  WriteMmio32(kData, byte);
}

}  // namespace
}  // namespace stub

STUB_PAYLOAD(echo) {
  WriteMmio32(kControl, kEnable);
  Print("ready");
  for (;;) {
    const uint32_t byte = NextByte();
    if (byte == kEndOfTransmission) return;
    SendByte(byte);
  }
}
