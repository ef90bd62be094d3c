// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>

#include "tests/support/call_filter.h"
#include "vmm/sandbox/violation.h"

namespace vmm {
namespace {

constexpr ThreadKind kKinds[] = {ThreadKind::kMain, ThreadKind::kVcpu,
                                 ThreadKind::kWatch};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

class SandboxDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a sanitizer makes calls of its own";
  }
};

// All of this is for a process of its own: there is no way back.

void Confine(ThreadKind kind, Seccomp mode = Seccomp::kOn) {
  EndOnViolation(nullptr);
  if (!SeccompSandbox(mode).Enter(kind, "trial").ok()) _exit(3);
}

[[noreturn]] void CallSocket(ThreadKind kind, Seccomp mode = Seccomp::kOn) {
  Confine(kind, mode);
  static_cast<void>(socket(AF_INET, SOCK_STREAM, 0));
  _exit(0);
}

TEST_F(SandboxDeathTest, ACallThatAThreadNeverMakesIsNamedWithTheThread) {
  for (const ThreadKind kind : kKinds) {
    EXPECT_EXIT(CallSocket(kind), testing::ExitedWithCode(kViolationStatus),
                "^vmm: error: the thread trial made the system call socket "
                "\\([0-9]+\\), which it never makes; --seccomp log would let "
                "it \\[sandbox-violation\\]\n$");
  }
}

TEST_F(SandboxDeathTest, AKindMakesTheCallsOfItsOwn) {
  for (const ThreadKind kind : kKinds) {
    EXPECT_EXIT(
        {
          Confine(kind);
          static_cast<void>(!write(STDERR_FILENO, "written", 7));
          _exit(0);
        },
        testing::ExitedWithCode(0), "^written$");
  }
}

TEST_F(SandboxDeathTest, OnlyTheMainThreadOpensFiles) {
  const auto open = [](ThreadKind kind) {
    Confine(kind);
    static_cast<void>(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY));
    _exit(0);
  };
  EXPECT_EXIT(open(ThreadKind::kMain), testing::ExitedWithCode(0), "^$");
  for (const ThreadKind kind : {ThreadKind::kVcpu, ThreadKind::kWatch}) {
    EXPECT_EXIT(open(kind), testing::ExitedWithCode(kViolationStatus),
                "the system call openat ");
  }
}

TEST_F(SandboxDeathTest, AnIoctlIsItsRequest) {
  const auto call = [](unsigned long request) {
    Confine(ThreadKind::kVcpu);
    termios nothing = {};
    ioctl(-1, request, &nothing);
    _exit(0);
  };
  constexpr unsigned long kRun = 0xae80;
  constexpr unsigned long kCreateVm = 0xae01;
  constexpr unsigned long kTypeForTheUser = TIOCSTI;
  EXPECT_EXIT(call(kRun), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(call(TCSETS), testing::ExitedWithCode(0), "");
  for (const unsigned long request : {kCreateVm, kTypeForTheUser}) {
    EXPECT_EXIT(call(request), testing::ExitedWithCode(kViolationStatus),
                "the system call ioctl ");
  }
}

// By the main thread's filter, which those that it starts have, too.
TEST_F(SandboxDeathTest, NothingBecomesExecutable) {
  const auto become = [](ThreadKind kind, int protection) {
    Confine(ThreadKind::kMain);
    if (kind != ThreadKind::kMain) Confine(kind);
    void* const page =
        mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page, 4096, protection);
    _exit(0);
  };
  for (const ThreadKind kind : {ThreadKind::kMain, ThreadKind::kVcpu}) {
    EXPECT_EXIT(become(kind, PROT_READ | PROT_WRITE),
                testing::ExitedWithCode(0), "");
    EXPECT_EXIT(become(kind, PROT_READ | PROT_EXEC),
                testing::ExitedWithCode(kViolationStatus),
                "the system call mprotect ");
  }
  const auto map = [](ThreadKind kind, int protection) {
    Confine(ThreadKind::kMain);
    if (kind != ThreadKind::kMain) Confine(kind);
    mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    _exit(0);
  };
  for (const ThreadKind kind : kKinds) {
    EXPECT_EXIT(map(kind, PROT_READ | PROT_WRITE), testing::ExitedWithCode(0),
                "");
    EXPECT_EXIT(map(kind, PROT_READ | PROT_EXEC),
                testing::ExitedWithCode(kViolationStatus),
                "the system call mmap ");
  }
}

TEST_F(SandboxDeathTest, AThreadIsConfinedFurtherThanTheOneThatStartedIt) {
  EXPECT_EXIT(
      {
        Confine(ThreadKind::kMain);
        std::thread thread([] {
          if (!SeccompSandbox(Seccomp::kOn)
                   .Enter(ThreadKind::kVcpu, "vcpu7")
                   .ok()) {
            _exit(3);
          }
          static_cast<void>(
              syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY));
        });
        thread.join();
        _exit(0);
      },
      testing::ExitedWithCode(kViolationStatus),
      "the thread vcpu7 made the system call openat ");
}

TEST_F(SandboxDeathTest, AThreadConfinesNobodyElse) {
  EXPECT_EXIT(
      {
        Confine(ThreadKind::kMain);
        std::thread thread([] { Confine(ThreadKind::kVcpu); });
        thread.join();
        static_cast<void>(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY));
        _exit(0);
      },
      testing::ExitedWithCode(0), "^$");
}

TEST_F(SandboxDeathTest, AKernelThatCannotIsToldWithAWayOut) {
  const auto enter = [](uint32_t lacking) {
    LackCall(lacking, EINVAL);
    std::cerr << SeccompSandbox(Seccomp::kOn)
                     .Enter(ThreadKind::kMain, "main")
                     .message();
    _exit(0);
  };
  EXPECT_EXIT(enter(SYS_seccomp), testing::ExitedWithCode(0),
              "^this host's kernel cannot confine the VMM: seccomp: Invalid "
              "argument; --seccomp off runs it unconfined$");
  EXPECT_EXIT(enter(SYS_prctl), testing::ExitedWithCode(0),
              "cannot confine the VMM: no_new_privs: Invalid argument; ");
}

TEST_F(SandboxDeathTest, LogAndOffLetItThrough) {
  EXPECT_EXIT(CallSocket(ThreadKind::kVcpu, Seccomp::kLog),
              testing::ExitedWithCode(0), "^$");
  EXPECT_EXIT(CallSocket(ThreadKind::kVcpu, Seccomp::kOff),
              testing::ExitedWithCode(0), "^$");
}

TEST_F(SandboxDeathTest, WhatComesBeforeTheEndIsDone) {
  EXPECT_EXIT(
      {
        EndOnViolation(
            [] { static_cast<void>(!write(STDERR_FILENO, "before;", 7)); });
        if (!SeccompSandbox(Seccomp::kOn)
                 .Enter(ThreadKind::kMain, "a name of more than 15")
                 .ok()) {
          _exit(3);
        }
        static_cast<void>(syscall(SYS_mount, nullptr, nullptr, nullptr, 0, 0));
        _exit(0);
      },
      testing::ExitedWithCode(kViolationStatus),
      "^before;vmm: error: the thread a name of more  made the system call "
      "mount ");
}

TEST_F(SandboxDeathTest, ACallThatLinuxDoesNotHaveHasItsNumber) {
  EXPECT_EXIT(
      {
        Confine(ThreadKind::kVcpu);
        static_cast<void>(syscall(4000));
        _exit(0);
      },
      testing::ExitedWithCode(kViolationStatus),
      "the system call an unknown one \\(4000\\)");
}

}  // namespace
}  // namespace vmm
