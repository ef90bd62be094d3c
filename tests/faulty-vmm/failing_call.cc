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
#include <map>
#include <new>
#include <utility>
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

// Answers until nobody is left to ask: each call with the errno that
// `error_of` says, or 0 to have it made.
void Answer(int listener,
            absl::FunctionRef<int(const seccomp_data& call)> error_of) {
  seccomp_notif_sizes sizes;
  if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
    Die("seccomp's sizes");
  }
  // A kernel may know more of either than we do.
  std::vector<uint64_t> asked(sizes.seccomp_notif / sizeof(uint64_t) + 1);
  std::vector<uint64_t> answer(sizes.seccomp_notif_resp / sizeof(uint64_t) + 1);
  for (;;) {
    pollfd ready = {.fd = listener, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, -1) < 0 && errno != EINTR) Die("poll");
    if ((ready.revents & POLLIN) == 0) {
      if (ready.revents != 0) return;
      continue;
    }
    asked.assign(asked.size(), 0);
    answer.assign(answer.size(), 0);
    auto* notif = new (asked.data()) seccomp_notif{};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notif) != 0) {
      continue;  // A signal came first, and it will ask again or has ended.
    }
    auto* response = new (answer.data()) seccomp_notif_resp{};
    response->id = notif->id;
    if (const int error = error_of(notif->data); error != 0) {
      response->error = -error;
    } else {
      response->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, response);
  }
}

int RunAsked(std::optional<uint32_t> number, std::optional<uint32_t> request,
             absl::FunctionRef<int(const seccomp_data& call)> error_of,
             absl::FunctionRef<int()> run) {
  std::atomic<int>* const name = SharedWord();
  const pid_t child = fork();
  if (child < 0) Die("fork");
  if (child == 0) {
    const int listener = FilterCall(number, request, SECCOMP_RET_USER_NOTIF,
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
  Answer(listener.get(), error_of);
  if (waitpid(child, &status, 0) != child) Die("waitpid");
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Of calls that do many things: what it was asked for.
std::optional<uint32_t> RequestOf(const seccomp_data& call) {
  if (call.nr != SYS_ioctl && call.nr != SYS_futex) return std::nullopt;
  return static_cast<uint32_t>(call.args[1]);
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
  uint32_t calls = 0;
  const auto error_of = [&](const seccomp_data& /*call*/) {
    return ++calls == call.index ? call.error : 0;
  };
  return RunAsked(call.number, call.request, error_of, run);
}

int RunAndCountCalls(absl::FunctionRef<int()> run) {
  std::map<std::pair<int, std::optional<uint32_t>>, uint32_t> made;
  const auto count = [&](const seccomp_data& call) {
    ++made[{call.nr, RequestOf(call)}];
    return 0;
  };
  const int status = RunAsked(std::nullopt, std::nullopt, count, run);
  for (const auto& [call, times] : made) {
    const auto& [number, request] = call;
    std::cerr << "vmm-faulty: " << number;
    if (request) std::cerr << '/' << *request;
    std::cerr << " made " << times << '\n';
  }
  return status;
}

}  // namespace vmm
