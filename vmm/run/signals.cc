// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/signals.h"

#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace vmm {
namespace {

bool IsIgnored(int signal) {
  struct sigaction action = {};
  return sigaction(signal, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

Signals::Signals() {
  sigemptyset(&mask_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) {
    if (!IsIgnored(signal)) sigaddset(&mask_, signal);
  }
  pthread_sigmask(SIG_BLOCK, &mask_, &previous_);
  fd_ = UniqueFd(signalfd(-1, &mask_, SFD_CLOEXEC | SFD_NONBLOCK));
  signal(SIGPIPE, SIG_IGN);
}

Signals::~Signals() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

int Signals::Take() {
  signalfd_siginfo info = {};
  if (read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace vmm
