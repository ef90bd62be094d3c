// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/violation.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "vmm/sandbox/filters.h"

namespace vmm {
namespace {

constexpr char kIdentifier[] = "sandbox-violation";  // Stable, for scripts.
constexpr size_t kNameBytes = 16;
thread_local char thread_name[kNameBytes] = "?";
void (*run_before)() = nullptr;
int exit_status = kViolationStatus;

// A line that a signal handler can write.
class Line {
 public:
  Line& operator<<(absl::string_view text) {
    const size_t size = std::min(text.size(), sizeof(text_) - size_);
    std::memcpy(text_ + size_, text.data(), size);
    size_ += size;
    return *this;
  }
  Line& operator<<(int number) {
    char digits[12];
    size_t at = sizeof(digits);
    auto left = static_cast<unsigned>(std::max(number, 0));
    do {
      digits[--at] = static_cast<char>('0' + left % 10);
      left /= 10;
    } while (left != 0);
    return *this << absl::string_view(digits + at, sizeof(digits) - at);
  }
  void Write() const {
    // Nobody is left to be told that it failed.
    static_cast<void>(!write(STDERR_FILENO, text_, size_));
  }

 private:
  char text_[256];
  size_t size_ = 0;
};

// Returns "openat", or "an unknown one".
absl::string_view NameOf(int number) {
  absl::string_view lines(kSystemCallNames, sizeof(kSystemCallNames) - 1);
  while (!lines.empty()) {
    const absl::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(line.size() + 1);
    int known = 0;
    size_t at = 0;
    for (; line[at] != ' '; ++at) known = known * 10 + (line[at] - '0');
    if (known == number) return line.substr(at + 1);
  }
  return "an unknown one";
}

void OnViolation(int, siginfo_t* info, void*) {
  if (run_before != nullptr) run_before();
  Line line;
  line << "vmm: error: the thread " << absl::string_view(thread_name)
       << " made the system call " << NameOf(info->si_syscall) << " ("
       << info->si_syscall
       << "), which it never makes; --seccomp log would let it [" << kIdentifier
       << "]\n";
  line.Write();
  _exit(exit_status);
}

}  // namespace

void EndOnViolation(void (*before)(), int status) {
  run_before = before;
  exit_status = status;
  struct sigaction action = {};
  action.sa_sigaction = OnViolation;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSYS, &action, nullptr);
}

void NameForViolations(absl::string_view name) {
  const size_t size = std::min(name.size(), kNameBytes - 1);
  std::memcpy(thread_name, name.data(), size);
  thread_name[size] = 0;
}

}  // namespace vmm
