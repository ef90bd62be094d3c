// SPDX-License-Identifier: Apache-2.0
#include "psci-emul/smccc.h"

namespace psci {

unsigned ArgumentCount(uint32_t function) {
  switch (function) {
    case PSCI_FEATURES:
      return 1;
    case PSCI_AFFINITY_INFO_32:
    case PSCI_AFFINITY_INFO_64:
    case PSCI_SYSTEM_RESET2_32:
    case PSCI_SYSTEM_RESET2_64:
      return 2;
    case PSCI_CPU_ON_32:
    case PSCI_CPU_ON_64:
    case PSCI_CPU_SUSPEND_32:
    case PSCI_CPU_SUSPEND_64:
      return 3;
    default:
      return 0;
  }
}

bool IsImplemented(uint32_t function) {
  switch (function) {
    case PSCI_VERSION:
    case PSCI_CPU_SUSPEND_32:
    case PSCI_CPU_SUSPEND_64:
    case PSCI_CPU_OFF:
    case PSCI_CPU_ON_32:
    case PSCI_CPU_ON_64:
    case PSCI_AFFINITY_INFO_32:
    case PSCI_AFFINITY_INFO_64:
    case PSCI_MIGRATE_INFO_TYPE:
    case PSCI_SYSTEM_OFF:
    case PSCI_SYSTEM_RESET:
    case PSCI_FEATURES:
    case PSCI_SYSTEM_RESET2_32:
    case PSCI_SYSTEM_RESET2_64:
      return true;
    default:
      return false;
  }
}

absl::string_view FunctionName(uint32_t function) {
  switch (function) {
    case PSCI_VERSION:
      return "PSCI_VERSION";
    case PSCI_CPU_SUSPEND_32:
    case PSCI_CPU_SUSPEND_64:
      return "CPU_SUSPEND";
    case PSCI_CPU_OFF:
      return "CPU_OFF";
    case PSCI_CPU_ON_32:
    case PSCI_CPU_ON_64:
      return "CPU_ON";
    case PSCI_AFFINITY_INFO_32:
    case PSCI_AFFINITY_INFO_64:
      return "AFFINITY_INFO";
    case PSCI_MIGRATE_INFO_TYPE:
      return "MIGRATE_INFO_TYPE";
    case PSCI_SYSTEM_OFF:
      return "SYSTEM_OFF";
    case PSCI_SYSTEM_RESET:
      return "SYSTEM_RESET";
    case PSCI_FEATURES:
      return "PSCI_FEATURES";
    case PSCI_SYSTEM_SUSPEND_32:
    case PSCI_SYSTEM_SUSPEND_64:
      return "SYSTEM_SUSPEND";
    case PSCI_SYSTEM_RESET2_32:
    case PSCI_SYSTEM_RESET2_64:
      return "SYSTEM_RESET2";
    default:
      return "unknown";
  }
}

absl::string_view ReturnName(int64_t answer) {
  switch (answer) {
    case PSCI_RET_SUCCESS:
      return "SUCCESS";
    case PSCI_RET_NOT_SUPPORTED:
      return "NOT_SUPPORTED";
    case PSCI_RET_INVALID_PARAMETERS:
      return "INVALID_PARAMETERS";
    case PSCI_RET_DENIED:
      return "DENIED";
    case PSCI_RET_ALREADY_ON:
      return "ALREADY_ON";
    case PSCI_RET_ON_PENDING:
      return "ON_PENDING";
    case PSCI_RET_INTERNAL_FAILURE:
      return "INTERNAL_FAILURE";
    case PSCI_RET_INVALID_ADDRESS:
      return "INVALID_ADDRESS";
    default:
      return "unknown";
  }
}

}  // namespace psci
