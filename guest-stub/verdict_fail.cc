// SPDX-License-Identifier: Apache-2.0
// Fails, so that a test sees how that arrives.
#include "guest-stub/report.h"

STUB_PAYLOAD(verdict_fail) { FAIL("as it should"); }
