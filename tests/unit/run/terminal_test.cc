// SPDX-License-Identifier: Apache-2.0
// The terminal comes back on every way out: tried on a real pseudo-terminal.
#include "vmm/run/terminal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <functional>
#include <optional>

namespace vmm {
namespace {

constexpr int kDeadlineMs = 10'000;

// Every key goes to the guest; our own lines still end with CR LF.
bool IsRaw(int terminal) {
  termios now = {};
  EXPECT_EQ(tcgetattr(terminal, &now), 0);
  return (now.c_lflag & (ICANON | ECHO | ISIG)) == 0 &&
         (now.c_oflag & OPOST) != 0 && (now.c_oflag & ONLCR) != 0;
}

bool IsCooked(int terminal) {
  termios now = {};
  EXPECT_EQ(tcgetattr(terminal, &now), 0);
  return (now.c_lflag & ICANON) != 0 && (now.c_lflag & ECHO) != 0;
}

class TerminalTest : public testing::Test {
 protected:
  // Runs `leave` in a child whose stdin is a raw terminal; returns its wait
  // status.
  int LeaveBy(const std::function<void(std::optional<RawTerminal>&)>& leave) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t child = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const rlimit no_core = {0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      std::optional<RawTerminal> raw(STDIN_FILENO);
      const bool worked = raw->active() && IsRaw(STDIN_FILENO);
      if (write(ready[1], worked ? "y" : "n", 1) != 1) _exit(1);
      leave(raw);
      _exit(0);
    }
    char answer = 0;
    pollfd reader = {ready[0], POLLIN, 0};
    EXPECT_EQ(poll(&reader, 1, kDeadlineMs), 1) << "The child said nothing.";
    EXPECT_EQ(read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    close(ready[0]);
    close(ready[1]);
    return status;
  }
  ~TerminalTest() override { close(terminal_); }

  int terminal_ = -1;
};

TEST_F(TerminalTest, IsRestoredByExit) {
  EXPECT_EQ(LeaveBy([](auto& /*raw*/) { exit(3); }), W_EXITCODE(3, 0));
  EXPECT_TRUE(IsCooked(terminal_));
}

TEST_F(TerminalTest, IsRestoredAtTheEndOfTheRun) {
  EXPECT_EQ(LeaveBy([](auto& raw) { raw.reset(); }), 0);
  EXPECT_TRUE(IsCooked(terminal_));
}

// Whoever has it afterwards may change it, and the end of the program does not
// take that back.
TEST_F(TerminalTest, IsRestoredOnce) {
  EXPECT_EQ(LeaveBy([](auto& raw) {
              raw.reset();
              termios silent = {};
              tcgetattr(STDIN_FILENO, &silent);
              silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
              tcsetattr(STDIN_FILENO, TCSANOW, &silent);
              exit(0);
            }),
            0);
  EXPECT_FALSE(IsCooked(terminal_));
}

// A job in the background would be stopped if it changed its terminal.
TEST_F(TerminalTest, OfAnotherJobIsLeftAlone) {
  const pid_t child = forkpty(&terminal_, nullptr, nullptr, nullptr);
  if (child == 0) {
    const pid_t job = fork();
    if (job == 0) {
      setpgid(0, 0);
      signal(SIGTTOU, SIG_IGN);
      _exit(RawTerminal(STDIN_FILENO).active() ? 1 : 0);
    }
    int status = 0;
    waitpid(job, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(TerminalTest, IsRestoredByFatalSignals) {
  for (const int signal : {SIGSEGV, SIGABRT, SIGHUP, SIGQUIT}) {
    const int status = LeaveBy([signal](auto& /*raw*/) { raise(signal); });
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
    EXPECT_TRUE(IsCooked(terminal_)) << strsignal(signal);
    close(terminal_);
  }
  terminal_ = -1;
}

TEST(RawTerminalTest, LeavesAPipeAlone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_FALSE(RawTerminal(ends[0]).active());
  for (const int fd : {ends[0], ends[1]}) close(fd);
}

}  // namespace
}  // namespace vmm
