// SPDX-License-Identifier: Apache-2.0
#include "vmm/run/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

namespace vmm {
namespace {

constexpr uint8_t kEscape = 0x01;  // ctrl-a
constexpr int kFatalSignals[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
                                 SIGABRT, SIGQUIT, SIGHUP};

// What a signal handler needs must be reachable from one.
volatile sig_atomic_t raw_terminal = -1;  // Its descriptor, -1: none is raw.
termios saved_terminal;

// Its action is the default one again (SA_RESETHAND), and ends the process once
// this has returned.
void RestoreAndDie(int number) {
  RestoreTerminal();
  raise(number);
}

}  // namespace

void RestoreTerminal() {
  const int fd = raw_terminal;
  raw_terminal = -1;
  if (fd >= 0) tcsetattr(fd, TCSANOW, &saved_terminal);
}

bool IsForUs(int input) {
  return !isatty(input) || tcgetpgrp(input) == getpgrp();
}

RawTerminal::RawTerminal(int fd) {
  if (!isatty(fd) || tcgetpgrp(fd) != getpgrp()) return;
  if (tcgetattr(fd, &saved_terminal) != 0) return;
  static const int registered = atexit(RestoreTerminal);
  static_cast<void>(registered);
  for (const int signal : kFatalSignals) {
    struct sigaction action = {};
    action.sa_handler = RestoreAndDie;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(signal, &action, nullptr);
  }
  termios raw = saved_terminal;
  cfmakeraw(&raw);
  raw.c_oflag |= OPOST | ONLCR;  // Our own lines keep their line ends.
  raw_terminal = fd;
  active_ = tcsetattr(fd, TCSANOW, &raw) == 0;
}

RawTerminal::~RawTerminal() { RestoreTerminal(); }

EscapeKeys::Result EscapeKeys::Feed(absl::Span<const uint8_t> typed) {
  Result result;
  for (const uint8_t key : typed) {
    if (!escaped_) {
      escaped_ = key == kEscape;
      if (!escaped_) result.to_guest.push_back(key);
      continue;
    }
    escaped_ = false;
    switch (key) {
      case 'x':
        result.quit = true;
        break;
      case 'h':
      case '?':
        result.help = true;
        break;
      case 'a':
      case kEscape:
        result.to_guest.push_back(kEscape);
        break;
      default:
        break;
    }
  }
  return result;
}

}  // namespace vmm
