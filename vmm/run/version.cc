// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/version.h"

namespace vmm {

const char* Version() { return PARKVMM_VERSION; }

const char* Commit() { return PARKVMM_COMMIT; }

}  // namespace vmm
