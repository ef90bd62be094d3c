// SPDX-License-Identifier: Apache-2.0
// Much console output, many marks, calls and accesses to nothing: the VMM may
// take its time, and no memory.
#include "guest-stub/arch.h"
#include "guest-stub/board.h"
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"
#include "vmm/devices/mark_abi.h"

STUB_PAYLOAD(flood) {
  const uint64_t count = Argument("count", 1000);
  for (uint64_t i = 0; i < count; ++i) {
    Print("0123456789abcdef");
    for (int k = 0; k < 8; ++k) {
      WriteMmio64(board::kMarkDevice + MARK_REG_MARK,
                  MARK_CODE_USER | i << MARK_VALUE_SHIFT);
      Psci(PSCI_64(0x1f));
    }
    ReadMmio32(board::kNoDevice);
  }
}
