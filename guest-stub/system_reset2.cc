// SPDX-License-Identifier: Apache-2.0
// A vendor's reset with a cookie; "smc32" makes it the 32-bit call, with
// garbage in the halves that it does not have.
#include "guest-stub/devicetree.h"
#include "guest-stub/psci.h"
#include "guest-stub/report.h"

STUB_PAYLOAD(system_reset2) {
  constexpr uint64_t kGarbage = 0xbad0'bad0'0000'0000;
  constexpr uint64_t kType = PSCI_RESET2_VENDOR | 0x123;
  constexpr uint64_t kCookie = 0x1234'5678'9abc'def0;
  AnnouncePass();
  const int32_t result =
      HasArgument("smc32")
          ? Psci(kGarbage | PSCI_SYSTEM_RESET2_32, kGarbage | kType, kCookie)
      : HasArgument("warm")
          ? Psci(PSCI_SYSTEM_RESET2_64, PSCI_RESET2_WARM, kCookie)
          : Psci(PSCI_SYSTEM_RESET2_64, kType, kCookie);
  FAIL("SYSTEM_RESET2 returned ", result);
}
