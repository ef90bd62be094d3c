// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/host_report.h"

#include <algorithm>

namespace vmm {

bool HostReport::usable() const {
  return std::all_of(checks.begin(), checks.end(), [](const HostCheck& check) {
    return check.remedy.empty();
  });
}

}  // namespace vmm
