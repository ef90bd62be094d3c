// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_EXIT_CODE_H_
#define PARKVMM_VMM_RUN_EXIT_CODE_H_

namespace vmm {

// Who failed. Documented in README.md; scripts rely on it: never renumber.
enum class ExitCode {
  kOk = 0,
  kVerdict = 1,           // A verdict or a threshold was missed.
  kUsage = 2,             // The user: options, files.
  kGuestPanic = 64,       //
  kBootTimeout = 65,      // The guest did not boot, or a kexec not come up.
  kCpuStuck = 66,         // A CPU is lost or stuck, or broke a protocol.
  kUnexpectedReset = 67,  // Reset or power-off that nobody asked for.
  kHostCannot = 69,       // No KVM that can run it; too little memory.
  kVmmBug = 70,           // Us.
  kSandbox = 72,          // The same, seen by the kernel: vmm/sandbox.
  kOutputLost = 74,       // The run went well; what it was to write did not.
  kSkipped = 77,          // --skip-if-no-kvm, and there is none.
  kTimeout = 124,         // The guest runs and does not end.
  kInterrupted = 130,     // The user.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_EXIT_CODE_H_
