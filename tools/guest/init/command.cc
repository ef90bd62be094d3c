// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "tools/guest/init/link.h"
#include "tools/guest/init/report.h"
#include "tools/guest/init/system.h"
#include "vmm/base/unique_fd.h"
#include "vmm/command/command_abi.h"

namespace guest_init {
namespace {

using vmm::UniqueFd;

// How much input may be on its way to the command. With its frames it fits into
// a terminal's buffer, so that none is lost.
constexpr uint16_t kInputWindow = 2048;
constexpr int kSizeDeadlineMs = 5'000;
constexpr size_t kPipeBytes = size_t{64} << 10;  // That a pipe holds.
constexpr char kEndOfFile = 4;                   // ctrl-d
constexpr int kKilled = 128;                     // And the signal.
constexpr int kNotFound = 127;
constexpr int kCannotRun = 126;

// What programs expect of a system, and a bare initramfs has not.
void SetUpDev() {
  for (const auto& [type, where] :
       {std::pair("devpts", "/dev/pts"), std::pair("tmpfs", "/dev/shm")}) {
    mkdir(where, 0755);
    if (mount(type, where, type, 0, nullptr) != 0 && errno != EBUSY) {
      Say(std::string("cannot mount ") + where);
    }
  }
  for (const auto& [target, path] :
       {std::pair("/proc/self/fd", "/dev/fd"), std::pair("fd/0", "/dev/stdin"),
        std::pair("fd/1", "/dev/stdout"), std::pair("fd/2", "/dev/stderr")}) {
    if (symlink(target, path) != 0 && errno != EEXIST) {
      Say(std::string("cannot make ") + path);
    }
  }
}

// Both ends of a stream of the command's.
struct Stream {
  UniqueFd ours;
  UniqueFd theirs;
};

void MakeNonblocking(const UniqueFd& fd) {
  fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

Stream MakePipe(bool we_read) {
  std::array<int, 2> ends = {-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) FailErrno("cannot make a pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  if (we_read) return {std::move(reader), std::move(writer)};
  return {std::move(writer), std::move(reader)};
}

Stream MakeTerminal() {
  UniqueFd ours(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!ours.valid() || grantpt(ours.get()) != 0 || unlockpt(ours.get()) != 0) {
    FailErrno("cannot make a terminal");
  }
  UniqueFd theirs(open(ptsname(ours.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!theirs.valid()) FailErrno("cannot open the terminal");
  return {std::move(ours), std::move(theirs)};
}

// This is the child: it never returns. Says errno to `report` if it fails.
[[noreturn]] void BecomeCommand(char* const* words, char** environment,
                                const std::array<int, 3>& streams,
                                bool terminal, int report) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);  // What is ignored stays so in a new program.
  setsid();
  if (terminal) ioctl(streams[0], TIOCSCTTY, 0);
  for (int stream = 0; stream <= STDERR_FILENO; ++stream) {
    dup2(streams[static_cast<size_t>(stream)], stream);
  }
  environ = environment;  // execvp() looks for PATH there.
  execvp(words[0], words);
  const int error = errno;
  (void)!write(report, &error, sizeof(error));
  _exit(error == ENOENT ? kNotFound : kCannotRun);
}

std::vector<char*> PointersTo(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

class Runner {
 public:
  explicit Runner(const Command& command) : command_(command) {}
  int Run();

 private:
  void AwaitSize();
  void Start();
  void Serve();
  void Reap();
  void TakeFrames();
  void TakeFrame(const Frame& frame);
  void Feed();
  // Sends what the command printed, once; closes `from` at its end. Returns how
  // many bytes there were.
  size_t Forward(UniqueFd& from, char type);
  void ForwardRest(UniqueFd& from, char type);

  const Command& command_;
  Link link_;
  UniqueFd children_;  // Readable once one has ended.
  pid_t child_ = -1;
  std::optional<int> status_;
  UniqueFd input_;   // To the command; the terminal, if it has one.
  UniqueFd output_;  // From it.
  UniqueFd error_;
  std::string pending_;  // Input that the command has not taken.
  bool input_ended_ = false;
  std::optional<winsize> size_;
};

int Runner::Run() {
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ended, nullptr);
  children_ = UniqueFd(signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK));
  signal(SIGPIPE, SIG_IGN);
  link_.Send(COMMAND_HELLO, "");
  if (command_.terminal) AwaitSize();
  Start();
  link_.Send(COMMAND_CREDIT, kInputWindow);
  Serve();
  link_.Send(COMMAND_EXIT, std::string(1, static_cast<char>(*status_)));
  link_.Drain();
  return *status_;
}

// A program looks at the size when it starts. Without one it starts, too.
void Runner::AwaitSize() {
  pollfd there = {.fd = link_.fd(), .events = POLLIN};
  while (!size_ && poll(&there, 1, kSizeDeadlineMs) > 0) {
    link_.Read();
    TakeFrames();
  }
}

void Runner::Start() {
  auto words = PointersTo(command_.words);
  auto environment = PointersTo(command_.environment);
  Stream input = command_.terminal ? MakeTerminal() : MakePipe(false);
  Stream output = command_.terminal ? Stream() : MakePipe(true);
  Stream error = command_.terminal ? Stream() : MakePipe(true);
  Stream report = MakePipe(true);
  if (size_) ioctl(input.ours.get(), TIOCSWINSZ, &*size_);
  const int in = input.theirs.get();
  const std::array<int, 3> streams = {
      in, command_.terminal ? in : output.theirs.get(),
      command_.terminal ? in : error.theirs.get()};
  child_ = fork();
  if (child_ < 0) FailErrno("cannot start the command");
  if (child_ == 0) {
    BecomeCommand(words.data(), environment.data(), streams, command_.terminal,
                  report.theirs.get());
  }
  report.theirs = UniqueFd();
  int failure = 0;
  if (read(report.ours.get(), &failure, sizeof(failure)) == sizeof(failure)) {
    link_.Send(COMMAND_BROKEN,
               command_.words.front() + ": " + std::strerror(failure));
  }
  input_ = std::move(input.ours);
  output_ = std::move(output.ours);
  error_ = std::move(error.ours);
  for (const UniqueFd* fd : {&input_, &output_, &error_}) {
    if (fd->valid()) MakeNonblocking(*fd);
  }
}

void Runner::Serve() {
  while (!status_) {
    // A descriptor of -1 is not waited for.
    const auto events = static_cast<short>((command_.terminal ? POLLIN : 0) |
                                           (pending_.empty() ? 0 : POLLOUT));
    std::array<pollfd, 5> ready = {{
        {children_.get(), POLLIN, 0},
        {link_.fd(), POLLIN, 0},
        {input_.get(), events, 0},
        {output_.get(), POLLIN, 0},
        {error_.get(), POLLIN, 0},
    }};
    if (poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[0].revents != 0) Reap();
    if (ready[1].revents != 0) {
      link_.Read();
      TakeFrames();
    }
    if (!pending_.empty()) Feed();
    if (command_.terminal && ready[2].revents != 0) {
      Forward(input_, COMMAND_STDOUT);
    } else if ((ready[2].revents & POLLERR) != 0) {
      input_ = UniqueFd();  // Nobody reads it any more.
    }
    if (ready[3].revents != 0) Forward(output_, COMMAND_STDOUT);
    if (ready[4].revents != 0) Forward(error_, COMMAND_STDERR);
  }
  // What it left behind; what its own children print later is nobody's.
  ForwardRest(command_.terminal ? input_ : output_, COMMAND_STDOUT);
  ForwardRest(error_, COMMAND_STDERR);
}

// Everybody's orphans are PID 1's.
void Runner::Reap() {
  signalfd_siginfo ignored;
  while (read(children_.get(), &ignored, sizeof(ignored)) > 0) {
  }
  int status = 0;
  for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended != child_) continue;
    status_ =
        WIFEXITED(status) ? WEXITSTATUS(status) : kKilled + WTERMSIG(status);
  }
}

void Runner::TakeFrames() {
  while (const auto frame = link_.Take()) TakeFrame(*frame);
}

void Runner::TakeFrame(const Frame& frame) {
  switch (frame.type) {
    case COMMAND_INPUT:
      pending_ += frame.payload;
      break;
    case COMMAND_INPUT_END:
      input_ended_ = true;
      if (command_.terminal) pending_ += kEndOfFile;
      break;
    case COMMAND_SIZE:
      if (frame.payload.size() != 2 * sizeof(uint16_t)) break;
      size_.emplace();
      std::memcpy(&size_->ws_row, frame.payload.data(), sizeof(uint16_t));
      std::memcpy(&size_->ws_col, frame.payload.data() + sizeof(uint16_t),
                  sizeof(uint16_t));
      if (input_.valid()) ioctl(input_.get(), TIOCSWINSZ, &*size_);
      break;
    default:
      break;
  }
  Feed();
}

// What a command does not read any more is dropped.
void Runner::Feed() {
  if (!input_.valid()) return;
  const ssize_t taken = write(input_.get(), pending_.data(), pending_.size());
  if (taken < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const size_t size = taken < 0 ? pending_.size() : static_cast<size_t>(taken);
  pending_.erase(0, size);
  if (size > 0) link_.Send(COMMAND_CREDIT, static_cast<uint16_t>(size));
  if (pending_.empty() && input_ended_ && !command_.terminal) {
    input_ = UniqueFd();
  }
}

size_t Runner::Forward(UniqueFd& from, char type) {
  std::array<char, COMMAND_FRAME_PAYLOAD> buffer;
  const ssize_t got = read(from.get(), buffer.data(), buffer.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) {  // A terminal that nobody has open any more gives EIO.
    from = UniqueFd();
    return 0;
  }
  const auto size = static_cast<size_t>(got);
  link_.Send(type, std::string_view(buffer.data(), size));
  return size;
}

void Runner::ForwardRest(UniqueFd& from, char type) {
  for (size_t left = kPipeBytes; from.valid();) {
    const size_t size = Forward(from, type);
    if (size == 0 || size >= left) return;
    left -= size;
  }
}

}  // namespace

std::optional<Command> FindCommand() {
  const auto text = ReadFile(COMMAND_FILE);
  if (!text) return std::nullopt;
  auto command = ParseCommandFile(*text);
  if (!command) Fail(COMMAND_FILE " is damaged");
  return command;
}

int RunCommand(const Command& command) {
  SetUpDev();
  return Runner(command).Run();
}

}  // namespace guest_init
