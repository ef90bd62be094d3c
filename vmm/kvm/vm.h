// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_KVM_VM_H_
#define PARKVMM_VMM_KVM_VM_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vmm/base/guest_address.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {

enum class GicVersion { kV2, kV3 };

// Who answers PSCI: KVM itself, or this VMM through the SMCCC filter.
enum class PsciHandler { kVmm, kKvm };

struct VmSpec {
  uint32_t vcpus = 1;
  PsciHandler psci = PsciHandler::kVmm;
  // The highest guest physical address in use.
  GuestAddress last_address{0};
  // Where the interrupt controller lies. V2 uses `gic_cpu`, V3 the others.
  GuestRange gic_distributor;
  GuestRange gic_cpu;
  GuestRange gic_redistributors;
  GuestRange gic_redistributors_high;  // For vCPUs that do not fit the first.
  // How many SPIs the interrupt controller has. KVM takes a multiple of 32.
  uint32_t spis = 32;
};

// A virtual machine. The seam to KVM; the machine owns it and outlives no
// vCPU of it. Construction on one thread; SetSpi() from any.
class Vm {
 public:
  virtual ~Vm() = default;
  virtual GicVersion gic() const = 0;
  // `memory` must outlive the VM.
  virtual absl::Status AddRam(GuestRange range, void* memory) = 0;
  // All vCPUs of the spec, by index, created together: KVM's GIC must know
  // them all before it is initialised. Call once.
  virtual absl::StatusOr<std::vector<std::unique_ptr<Vcpu>>> CreateVcpus() = 0;
  // Level of shared peripheral interrupt `spi` (0 is INTID 32).
  virtual absl::Status SetSpi(unsigned spi, bool level) = 0;
};

// kFailedPrecondition, in one sentence with the remedy, if this host cannot
// run such a machine. Never falls back to less than was asked for.
absl::StatusOr<std::unique_ptr<Vm>> OpenKvm(const VmSpec& spec);

}  // namespace vmm

#endif  // PARKVMM_VMM_KVM_VM_H_
