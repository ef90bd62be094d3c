// SPDX-License-Identifier: Apache-2.0
#include "tests/faulty-vmm/failing_call.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/support/call_filter.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

constexpr int kCannot = 125;  // This test's own failure, as timeout(1) has it.

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  _exit(kCannot);
}

// Where the child says what its listener is called: a word that both see, for
// a system call might be the one that nobody answers yet.
std::atomic<int>* SharedWord() {
  void* memory = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Die("mmap");
  return new (memory) std::atomic<int>(-1);
}

// Answers until nobody is left to ask. Returns how often it was asked.
uint32_t Answer(int listener, const FailingCall& call) {
  seccomp_notif_sizes sizes;
  if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
    Die("seccomp's sizes");
  }
  // A kernel may know more of either than we do.
  std::vector<uint64_t> asked(sizes.seccomp_notif / sizeof(uint64_t) + 1);
  std::vector<uint64_t> answer(sizes.seccomp_notif_resp / sizeof(uint64_t) + 1);
  uint32_t calls = 0;
  for (;;) {
    pollfd ready = {.fd = listener, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, -1) < 0 && errno != EINTR) Die("poll");
    if ((ready.revents & POLLIN) == 0) {
      if (ready.revents != 0) return calls;
      continue;
    }
    asked.assign(asked.size(), 0);
    answer.assign(answer.size(), 0);
    auto* notif = new (asked.data()) seccomp_notif{};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notif) != 0) {
      continue;  // A signal came first, and it will ask again or has ended.
    }
    ++calls;
    auto* response = new (answer.data()) seccomp_notif_resp{};
    response->id = notif->id;
    if (calls == call.index) {
      response->error = -call.error;
    } else {
      response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, response);
  }
}

}  // namespace

std::optional<FailingCall> ParseFailingCall(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ':');
  if (words.size() != 4 || words[0] != "fail") return std::nullopt;
  FailingCall call;
  const std::vector<absl::string_view> which = absl::StrSplit(words[1], '/');
  uint32_t request = 0;
  if (which.size() > 1) {
    if (!absl::SimpleAtoi(which[1], &request)) return std::nullopt;
    call.request = request;
  }
  if (!absl::SimpleAtoi(which[0], &call.number) ||
      !absl::SimpleAtoi(words[2], &call.index) ||
      !absl::SimpleAtoi(words[3], &call.error)) {
    return std::nullopt;
  }
  return call;
}

int RunWithFailingCall(const FailingCall& call, absl::FunctionRef<int()> run) {
  std::atomic<int>* const name = SharedWord();
  const pid_t child = fork();
  if (child < 0) Die("fork");
  if (child == 0) {
    const int listener =
        FilterCall(call.number, call.request, SECCOMP_RET_USER_NOTIF,
                   SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener < 0) Die("seccomp");
    name->store(listener);
    std::exit(run());
  }
  int status = 0;
  while (name->load() < 0) {
    if (waitpid(child, &status, WNOHANG) == child) return kCannot;
    sched_yield();
  }
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  const UniqueFd listener(static_cast<int>(
      syscall(SYS_pidfd_getfd, process.get(), name->load(), 0)));
  if (listener.get() < 0) Die("the listener");
  const uint32_t calls = Answer(listener.get(), call);
  if (waitpid(child, &status, 0) != child) Die("waitpid");
  std::cerr << "vmm-faulty: " << calls << " calls\n";
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace vmm
