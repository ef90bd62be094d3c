// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/system.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "tools/guest/init/cpu_list.h"
#include "tools/guest/init/report.h"
#include "vmm/base/unique_fd.h"

namespace guest_init {
namespace {

constexpr int kKilled = 128;  // And the signal.

// Never returns to the caller's program: this is the child.
[[noreturn]] void BecomeProgram(std::vector<char*>& words,
                                const std::string& terminal) {
  if (!terminal.empty()) {
    setsid();
    const int tty = open(terminal.c_str(), O_RDWR);
    if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) != 0) _exit(kCannotStart);
    for (int stream = 0; stream <= STDERR_FILENO; ++stream) dup2(tty, stream);
  }
  execv(words[0], words.data());
  _exit(kCannotStart);
}

int WaitFor(pid_t child, int deadline_ms) {
  const vmm::UniqueFd process(
      static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd ended = {.fd = process.get(), .events = POLLIN};
  if (poll(&ended, 1, deadline_ms) != 1) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);  // Ended or killed: this does not wait long.
  return WIFEXITED(status) ? WEXITSTATUS(status) : kKilled + WTERMSIG(status);
}

}  // namespace

std::optional<std::string> ReadFile(const std::string& path) {
  const vmm::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return std::nullopt;
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = read(file.get(), buffer.data(), buffer.size());
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
}

bool WriteFile(const std::string& path, std::string_view text) {
  const vmm::UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() && write(file.get(), text.data(), text.size()) ==
                             static_cast<ssize_t>(text.size());
}

std::vector<unsigned> OnlineCpus() {
  const auto text = ReadFile("/sys/devices/system/cpu/online");
  if (!text) FailErrno("cannot read which CPUs are online");
  const auto cpus = ParseCpuList(*text);
  if (!cpus) Fail("cannot understand which CPUs are online: " + *text);
  return *cpus;
}

void LoadModule(const std::string& path) {
  const vmm::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) FailErrno("cannot open " + path);
  if (syscall(SYS_finit_module, file.get(), "", 0) != 0) {
    FailErrno("cannot load " + path);
  }
}

std::optional<pid_t> StartProgram(const std::vector<std::string>& words,
                                  const std::string& terminal) {
  // Made before fork(): the child only makes system calls.
  std::vector<char*> arguments;
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return std::nullopt;
  if (child == 0) BecomeProgram(arguments, terminal);
  return child;
}

int RunProgram(const std::vector<std::string>& words, int deadline_ms,
               const std::string& terminal) {
  const auto child = StartProgram(words, terminal);
  return child ? WaitFor(*child, deadline_ms) : kCannotStart;
}

bool HasEnded(pid_t child) {
  siginfo_t ended = {};
  return waitid(P_PID, static_cast<id_t>(child), &ended,
                WEXITED | WNOHANG | WNOWAIT) != 0 ||
         ended.si_pid == child;
}

}  // namespace guest_init
