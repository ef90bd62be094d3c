// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/psci.h"
#include "guest-stub/report.h"

STUB_PAYLOAD(system_off) {
  AnnouncePass();
  const int32_t result = Psci(PSCI_SYSTEM_OFF);
  FAIL("SYSTEM_OFF returned ", result);
}
