// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_POST_MORTEM_H_
#define PARKVMM_VMM_RUN_POST_MORTEM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/machine/vcpu_thread.h"
#include "vmm/run/symbols.h"

namespace vmm {

// Returns, in lines that are safe to print, how a guest that failed was found:
// the last lines of its console, which are safe to print already, and each vCPU
// with its MPIDR. `symbols`: its kernel's; nullptr if they are not known.
std::vector<std::string> DescribePostMortem(
    const std::vector<std::string>& last_lines,
    const std::vector<VcpuPostMortem>& vcpus,
    const std::vector<uint64_t>& mpidrs, const Symbols* symbols);

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_POST_MORTEM_H_
