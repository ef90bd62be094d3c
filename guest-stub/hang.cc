// SPDX-License-Identifier: Apache-2.0
// Never ends: the VMM's timeout has to.
#include "guest-stub/report.h"

STUB_PAYLOAD(hang) {
  AnnouncePass();
  for (;;) asm volatile("");
}
