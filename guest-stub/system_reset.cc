// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/psci.h"
#include "guest-stub/report.h"

STUB_PAYLOAD(system_reset) {
  AnnouncePass();
  const int32_t result = Psci(PSCI_SYSTEM_RESET);
  FAIL("SYSTEM_RESET returned ", result);
}
