// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_VERSION_H_
#define PARKVMM_VMM_RUN_VERSION_H_

namespace vmm {

// "0.2.0", and the commit of the source, with "-dirty" behind it if more was
// changed; "unknown" if it was built outside of a repository.
const char* Version();
const char* Commit();

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_VERSION_H_
