// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MACHINE_MACHINE_SPEC_H_
#define PARKVMM_VMM_MACHINE_MACHINE_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>

#include "psci-emul/firmware_model.h"
#include "vmm/base/content.h"
#include "vmm/base/guest_address.h"
#include "vmm/boot/kernel_image.h"
#include "vmm/kvm/vm.h"
#include "vmm/sandbox/sandbox.h"

namespace vmm {

// What a guest can park its CPUs in besides CPU_OFF (psci-emul/park_abi.h).
enum class ParkMode {
  kOff,    // Nothing.
  kGuest,  // The park pages: CPUs run the guest's own loop, the VMM watches.
  kHost,   // The park pages, where CPUs leave the guest, and the park device.
};

// What the user asks for; Plan() turns it into a machine.
struct MachineSpec {
  KernelImage kernel;
  Content initrd;  // Empty: none.
  std::string command_line;
  bool command_link = false;  // It has one (vmm/command/command_abi.h).
  uint64_t memory_bytes = uint64_t{1} << 30;
  uint32_t vcpus = 1;
  PsciHandler psci = PsciHandler::kVmm;
  psci::FirmwareModel firmware;  // Needs PsciHandler::kVmm.
  ParkMode park = ParkMode::kOff;
  std::optional<GuestAddress> park_base;  // nullopt: at the end of RAM.
  bool park_no_map = true;                // So the tree reserves the pages.
  bool idle_states = false;               // The guest may idle by CPU_SUSPEND.
  std::optional<uint64_t> seed;  // Of the guest's randomness; else the host's.
  const Sandbox* sandbox = nullptr;  // Of its threads; outlives the machine.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MACHINE_MACHINE_SPEC_H_
