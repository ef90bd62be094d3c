// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_SIGNALS_H_
#define PARKVMM_VMM_RUN_SIGNALS_H_

#include <signal.h>

#include <string>

#include "vmm/base/unique_fd.h"

namespace vmm {

// While it lives, the signals that end a run are readable and do nothing else:
// SIGINT, SIGTERM and SIGHUP, but for those that were ignored before (nohup).
// Made before other threads are, which inherit that. SIGPIPE is ignored for
// good: a reader that went away is no reason to die. SIGWINCH is readable,
// too.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // For poll().
  int fd() const { return fd_.get(); }
  // Returns the number of one that came; 0 if none did.
  int Take();

 private:
  sigset_t mask_;
  sigset_t previous_;
  UniqueFd fd_;
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_SIGNALS_H_
