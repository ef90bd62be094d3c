// SPDX-License-Identifier: Apache-2.0
#include "vmm/park/parking.h"

namespace vmm {

absl::StatusOr<Parking::StoreOutcome> Parking::OnStore(psci::VcpuId, Vcpu&,
                                                       const VcpuExit&) {
  return absl::InternalError("KVM_RUN: Bad address");
}

}  // namespace vmm
