// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/program.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <exception>

#include "vmm/base/log.h"
#include "vmm/cli/command_line.h"
#include "vmm/cli/confinement.h"
#include "vmm/run/exit_code.h"
#include "vmm/run/session.h"
#include "vmm/sandbox/violation.h"

namespace vmm {
namespace {

static_assert(static_cast<int>(ExitCode::kSandbox) == kViolationStatus);

// Of each thread that is started. None recurses or holds a large object, and
// the usual eight megabytes would be room for a huge page.
constexpr size_t kStackBytes = size_t{512} << 10;

void TakeLittleMemory() {
  // Threads hardly allocate: they need no heaps of their own.
  mallopt(M_ARENA_MAX, 1);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0) {
    pthread_setattr_default_np(&attributes);
  }
  pthread_attr_destroy(&attributes);
}

// Opens what is missing of stdin, stdout and stderr, so that no file of ours
// takes its place. It takes no output, and whoever writes to it is told. So is
// whoever writes to a pipe without a reader, or beyond a limit of file sizes.
void PrepareForOutputs() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDONLY);
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

}  // namespace

// Our own code throws nothing; the standard library may run out of memory.
int RunProgram(int argc, const char* const* argv) try {
  PrepareForOutputs();
  TakeLittleMemory();
  return static_cast<int>(
      RunCommandLine(argc, argv, RunKvmSession, ConfineProcess));
} catch (const std::exception& exception) {
  LogError(exception.what());
  return static_cast<int>(ExitCode::kVmmBug);
}

}  // namespace vmm
