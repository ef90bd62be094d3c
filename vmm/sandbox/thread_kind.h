// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_SANDBOX_THREAD_KIND_H_
#define PARKVMM_VMM_SANDBOX_THREAD_KIND_H_

namespace vmm {

// What a thread is for, which is what it may do: sections of
// system_calls.list.
enum class ThreadKind {
  kMain,   // Reads and writes what the user names, makes the machine, waits.
  kVcpu,   // Runs one CPU of the guest.
  kWatch,  // Looks at park pages that the guest's own loop watches.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_SANDBOX_THREAD_KIND_H_
