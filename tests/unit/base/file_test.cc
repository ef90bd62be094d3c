// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/call_filter.h"
#include "tests/support/scratch.h"
#include "vmm/base/unique_fd.h"

namespace vmm {
namespace {

using testing::HasSubstr;

std::string FileOf(const std::string& name, const std::string& content) {
  std::string path = ScratchPath(name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string Text(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(ReadFileTest, ReadsAllOfIt) {
  const std::string content = std::string(300'000, 'x') + "end";
  const auto bytes = ReadFile(FileOf("all", content), content.size());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(Text(*bytes), content);
}

TEST(ReadFileTest, AnEmptyFileIsNoError) {
  const auto bytes = ReadFile(FileOf("empty", ""), 0);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_TRUE(bytes->empty());
}

TEST(ReadFileTest, ReadsAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "piped", 5), 5);
  close(ends[1]);
  const std::string path = absl::StrCat("/dev/fd/", ends[0]);
  const auto bytes = ReadFile(path, 5);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(Text(*bytes), "piped");
  close(ends[0]);
}

TEST(ReadFileTest, NamesAMissingFile) {
  const absl::Status status = ReadFile("/nowhere/Image", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "cannot open /nowhere/Image: No such file or directory");
}

TEST(ReadFileTest, RefusesADirectory) {
  const absl::Status status = ReadFile("/proc/self", 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "/proc/self is a directory, not a file");
}

TEST(ReadFileTest, RefusesWhatIsTooLarge) {
  const absl::Status status = ReadFile(FileOf("large", "12345"), 4).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("larger than 4 bytes"));
  // It has no size to be judged by beforehand.
  EXPECT_FALSE(ReadFile("/dev/zero", 1 << 20).ok());
}

std::string Contents(const std::string& path) {
  const auto bytes = ReadFile(path, 1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? Text(*bytes) : "";
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// While it lives, this process can write no file beyond `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit = {bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &old_); }

 private:
  rlimit old_ = {};
};

class WriteFileTest : public testing::Test {
 protected:
  ~WriteFileTest() override {
    unlink(path_.c_str());
    unlink((path_ + ".tmp").c_str());
  }
  const std::string path_ = ScratchPath("written");
};

TEST_F(WriteFileTest, CreatesAndReplaces) {
  ASSERT_TRUE(WriteFile(path_, "a longer text").ok());
  EXPECT_EQ(Contents(path_), "a longer text");
  ASSERT_TRUE(WriteFile(path_, std::vector<uint8_t>{'n', 'e', 'w'}).ok());
  EXPECT_EQ(Contents(path_), "new");
  EXPECT_FALSE(Exists(path_ + ".tmp"));
}

TEST_F(WriteFileTest, AFailureHalfwayLeavesTheOldFileAndNothingElse) {
  ASSERT_TRUE(WriteFile(path_, "old").ok());
  absl::Status status;
  {
    const FileSizeLimit limit(1000);
    status = WriteFile(path_, std::string(5000, 'x'));
  }
  EXPECT_EQ(status.message(),
            absl::StrCat("cannot write ", path_, ".tmp: File too large"));
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_FALSE(Exists(path_ + ".tmp"));
}

TEST_F(WriteFileTest, ALinkStaysALink) {
  const std::string target = path_ + ".target";
  ASSERT_TRUE(WriteFile(target, "old").ok());
  ASSERT_EQ(symlink(target.c_str(), path_.c_str()), 0);
  ASSERT_TRUE(WriteFile(path_, "new").ok());
  EXPECT_EQ(Contents(target), "new");
  char where[256];
  EXPECT_GT(readlink(path_.c_str(), where, sizeof(where)), 0);
  unlink(target.c_str());
}

TEST_F(WriteFileTest, APipeIsWrittenToAsItIs) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string path = absl::StrCat("/dev/fd/", ends[1]);
  EXPECT_TRUE(CheckWritable(path).ok());
  ASSERT_TRUE(WriteFile(path, "piped").ok());
  char got[8] = {};
  EXPECT_EQ(read(ends[0], got, sizeof(got)), 5);
  EXPECT_STREQ(got, "piped");
  close(ends[0]);
  close(ends[1]);
}

// faults.md C4.
TEST_F(WriteFileTest, APipesReaderMayComeLate) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  std::string got(5, ' ');
  std::thread reader([&] {
    const UniqueFd fifo(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(read(fifo.get(), got.data(), got.size()), 5);
  });
  EXPECT_TRUE(WriteFile(path_, "piped").ok());
  reader.join();
  EXPECT_EQ(got, "piped");
}

TEST(WriteToTest, AReaderThatStandsStillIsWaitedForAndNamed) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);  // Blocking, as stderr usually is.
  const absl::Status status = WriteTo(ends[1], "f", std::string(1 << 17, 'x'));
  EXPECT_EQ(status, absl::DeadlineExceededError(
                        "cannot write f: its reader took nothing for 5 s"));
  close(ends[0]);
  close(ends[1]);
}

TEST_F(WriteFileTest, AFullDeviceIsNamedAndStays) {
  EXPECT_EQ(WriteFile("/dev/full", "x"),
            absl::ResourceExhaustedError(
                "cannot write /dev/full: No space left on device"));
  EXPECT_TRUE(Exists("/dev/full"));
  EXPECT_FALSE(Exists("/dev/full.tmp"));
}

TEST_F(WriteFileTest, WhereNothingCanBeWrittenIsKnownBeforehand) {
  for (const auto& try_it : {std::function([](const std::string& path) {
                               return WriteFile(path, "x");
                             }),
                             std::function(CheckWritable)}) {
    EXPECT_EQ(try_it("/nowhere/file").message(),
              "cannot write /nowhere/file.tmp: No such file or directory");
    EXPECT_EQ(try_it("/proc").message(), "cannot write /proc: Is a directory");
  }
}

TEST_F(WriteFileTest, ACheckLeavesNothingBehindAndTheOldFileAlone) {
  EXPECT_TRUE(CheckWritable(path_).ok());
  EXPECT_FALSE(Exists(path_));
  ASSERT_TRUE(WriteFile(path_, "old").ok());
  EXPECT_TRUE(CheckWritable(path_).ok());
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_FALSE(Exists(path_ + ".tmp"));
}

TEST(WriteAllTest, GoesOnAfterPartialAndInterruptedWrites) {
  std::string got;
  int calls = 0;
  const absl::Status status = WriteAll(
      "f", "0123456789", [&](const char* bytes, size_t size) -> ssize_t {
        if (++calls % 2 == 0) {
          errno = EINTR;
          return -1;
        }
        const size_t some = std::min<size_t>(size, 3);
        got.append(bytes, some);
        return static_cast<ssize_t>(some);
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(got, "0123456789");
}

TEST(WriteAllTest, EndsWithTheFirstError) {
  int calls = 0;
  const absl::Status status =
      WriteAll("f", "0123456789", [&](const char*, size_t) -> ssize_t {
        if (++calls == 1) return 4;
        errno = EIO;
        return -1;
      });
  EXPECT_EQ(status.message(), "cannot write f: Input/output error");
  EXPECT_EQ(calls, 2);
}

TEST(WriteAllTest, DoesNotTryForEverWhereNothingIsTaken) {
  int calls = 0;
  const absl::Status status =
      WriteAll("f", "0123456789", [&](const char*, size_t) -> ssize_t {
        errno = E2BIG;  // Of an earlier call.
        return ++calls == 1 ? 4 : 0;
      });
  EXPECT_EQ(status, absl::DataLossError(
                        "cannot write f: only 4 of 10 bytes could be written"));
}

class FileStreamTest : public WriteFileTest {
 protected:
  FileStream Open(FileStream::Start start) {
    auto stream = FileStream::Open(path_, start);
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }
};

TEST_F(FileStreamTest, AppendsAndIsReadableMeanwhile) {
  FileStream stream = Open(FileStream::Start::kEmpty);
  ASSERT_TRUE(stream.Write("one\n").ok());
  EXPECT_EQ(Contents(path_), "one\n");
  ASSERT_TRUE(stream.Write("").ok());
  ASSERT_TRUE(stream.Write("two\n").ok());
  EXPECT_EQ(Contents(path_), "one\ntwo\n");
}

TEST_F(FileStreamTest, BeginsEmptyOrAtTheEnd) {
  ASSERT_TRUE(Open(FileStream::Start::kEmpty).Write("old").ok());
  ASSERT_TRUE(Open(FileStream::Start::kAtEnd).Write("more").ok());
  EXPECT_EQ(Contents(path_), "oldmore");
  Open(FileStream::Start::kEmpty);
  EXPECT_EQ(Contents(path_), "");
}

TEST_F(FileStreamTest, AnErrorStays) {
  FileStream stream = Open(FileStream::Start::kEmpty);
  absl::Status status;
  {
    const FileSizeLimit limit(1000);
    status = stream.Write(std::string(5000, 'x'));
  }
  EXPECT_EQ(status.message(),
            absl::StrCat("cannot write ", path_, ": File too large"));
  EXPECT_EQ(stream.Write("after it"), status);
  EXPECT_EQ(Contents(path_), std::string(1000, 'x'));
}

TEST_F(FileStreamTest, AFullDeviceIsNamed) {
  auto stream = FileStream::Open("/dev/full", FileStream::Start::kAtEnd);
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(stream->Write("x").message(),
            "cannot write /dev/full: No space left on device");
}

TEST_F(FileStreamTest, APipeThatNobodyReadsIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const absl::Status status =
      FileStream::Open(path_, FileStream::Start::kEmpty).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            path_ + " is a pipe that nobody reads; start its reader first");
}

// While it lives, this process's stdout or stderr is a file.
class Redirected {
 public:
  Redirected(int stream, const std::string& path,
             int flags = O_WRONLY | O_CREAT)
      : stream_(stream), was_(dup(stream)) {
    fflush(nullptr);
    const UniqueFd file(open(path.c_str(), flags, 0600));
    EXPECT_GE(dup2(file.get(), stream_), 0);
  }
  ~Redirected() {
    fflush(nullptr);
    EXPECT_GE(dup2(was_.get(), stream_), 0);
  }

 private:
  const int stream_;
  const UniqueFd was_;
};

TEST_F(WriteFileTest, AHyphenIsStdout) {
  EXPECT_EQ(OwnStream("-"), STDOUT_FILENO);
  EXPECT_TRUE(CheckWritable("-").ok());
  absl::Status written;
  {
    const Redirected out(STDOUT_FILENO, path_);
    written = WriteFile("-", "results");
  }
  EXPECT_TRUE(written.ok()) << written;
  EXPECT_EQ(Contents(path_), "results");
  EXPECT_FALSE(Exists("-"));
}

// C1: as it would have been replaced under whoever writes to it.
TEST_F(WriteFileTest, TheFileThatIsStdoutIsAppendedTo) {
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    const std::string device = absl::StrCat("/dev/fd/", stream);
    unlink(path_.c_str());
    absl::Status first, second, checked;
    {
      const Redirected own(stream, path_);
      EXPECT_EQ(OwnStream(path_), stream);
      EXPECT_EQ(OwnStream(device), stream);
      EXPECT_EQ(write(stream, "console\n", 8), 8);
      checked = CheckWritable(path_);
      first = WriteFile(path_, "results\n");
      second = WriteFile(device, "more\n");
      EXPECT_EQ(write(stream, "end\n", 4), 4);
    }
    EXPECT_TRUE(checked.ok() && first.ok() && second.ok());
    EXPECT_EQ(Contents(path_), "console\nresults\nmore\nend\n");
  }
  EXPECT_EQ(OwnStream(path_), -1);
  EXPECT_EQ(OwnStream(path_ + ".none"), -1);
}

// The roots of procfs and sysfs have the same inode number.
TEST_F(WriteFileTest, AFileOfAnotherDeviceIsNotStdout) {
  struct stat proc = {}, sys = {};
  ASSERT_EQ(stat("/proc", &proc), 0);
  ASSERT_EQ(stat("/sys", &sys), 0);
  ASSERT_EQ(proc.st_ino, sys.st_ino);
  int own = 0;
  {
    const Redirected out(STDOUT_FILENO, "/proc", O_RDONLY);
    own = OwnStream("/sys");
  }
  EXPECT_EQ(own, -1);
}

TEST_F(FileStreamTest, TheFileThatIsStdoutIsAppendedTo) {
  absl::Status written;
  {
    const Redirected own(STDOUT_FILENO, path_);
    EXPECT_EQ(write(STDOUT_FILENO, "console\n", 8), 8);
    FileStream stream = Open(FileStream::Start::kEmpty);
    written = stream.Write("event\n");
    EXPECT_EQ(write(STDOUT_FILENO, "end\n", 4), 4);
  }
  EXPECT_TRUE(written.ok()) << written;
  EXPECT_EQ(Contents(path_), "console\nevent\nend\n");
}

// What renames a file in this C library.
#ifdef SYS_rename
constexpr uint32_t kRename = SYS_rename;
#else
constexpr uint32_t kRename = SYS_renameat;
#endif

// Exits with 0 if `call` fails with `message` where the system call of that
// number does not work, and leaves no draft of `path` behind.
template <typename Call>
[[noreturn]] void ExitAfter(uint32_t number, const std::string& path,
                            const std::string& message, Call call) {
  LackCall(number, EIO);
  const absl::Status status = call();
  if (status.message() != message) _exit(1);
  _exit(Exists(path + ".tmp") ? 2 : 0);
}

using FileDeathTest = WriteFileTest;

// As on file systems that find only then that a disk is full.
TEST_F(FileDeathTest, AFileThatCannotBeClosedIsNotWritten) {
  const auto write = [this] { return WriteFile(path_, "x"); };
  const std::string told = "cannot write " + path_ + ".tmp: Input/output error";
  EXPECT_EXIT(ExitAfter(SYS_close, path_, told, write),
              testing::ExitedWithCode(0), "");
  EXPECT_FALSE(Exists(path_));
}

TEST_F(FileDeathTest, AFileWhosePlaceCannotBeTakenIsNotWritten) {
  const auto write = [this] { return WriteFile(path_, "x"); };
  const std::string told = "cannot write " + path_ + ": Input/output error";
  EXPECT_EXIT(ExitAfter(kRename, path_, told, write),
              testing::ExitedWithCode(0), "");
  EXPECT_FALSE(Exists(path_));
}

TEST_F(FileDeathTest, AFileOfUnknownSizeIsNotRead) {
  std::ofstream(path_) << "x";
  const auto read = [this] {
    LackCall(SYS_fstat, EIO);  // Some C libraries and sanitizers make this one.
    return ReadFile(path_, 1).status();
  };
  const std::string told = "cannot stat " + path_ + ": Input/output error";
  EXPECT_EXIT(ExitAfter(SYS_newfstatat, path_, told, read),
              testing::ExitedWithCode(0), "");
}

TEST_F(FileStreamTest, AMissingFolderIsNamed) {
  EXPECT_EQ(FileStream::Open("/nowhere/events", FileStream::Start::kEmpty)
                .status()
                .message(),
            "cannot write /nowhere/events: No such file or directory");
}

TEST(ReadFileTest, AnErrorInTheMiddleIsNamed) {
  // Nothing is mapped at 0.
  EXPECT_EQ(
      ReadFile("/proc/self/mem", 1).status(),
      absl::DataLossError("cannot read /proc/self/mem: Input/output error"));
}

TEST(ReadFileTest, ASizeOfJustTheMostIsRead) {
  const std::string path = FileOf("most", "1234");
  ASSERT_TRUE(ReadFile(path, 4).ok());
  EXPECT_EQ(ReadFile(path, 3).status(),
            absl::InvalidArgumentError(path + " is larger than 3 bytes"));
}

// A pipe whose writer is a signal handler: the first signals only interrupt the
// reader, a later one writes and closes.
int interrupted_pipe = -1;
int interruptions = 0;

TEST(ReadFileTest, GoesOnAfterASignal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  interrupted_pipe = ends[1];
  interruptions = 0;
  struct sigaction action = {}, old = {};
  action.sa_handler = [](int) {
    if (++interruptions != 3) return;
    if (write(interrupted_pipe, "late", 4) != 4) abort();
    close(interrupted_pipe);
  };
  sigaction(SIGALRM, &action, &old);
  const std::string path = absl::StrCat("/dev/fd/", ends[0]);
  const itimerval often = {{0, 2000}, {0, 2000}}, never = {};
  setitimer(ITIMER_REAL, &often, nullptr);
  const auto bytes = ReadFile(path, 100);
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &old, nullptr);
  close(ends[0]);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(Text(*bytes), "late");
}

size_t OpenFiles() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TEST_F(WriteFileTest, KeepsNoFileOpen) {
  const size_t before = OpenFiles();
  ASSERT_TRUE(WriteFile(path_, "x").ok());
  ASSERT_TRUE(CheckWritable(path_).ok());
  ASSERT_TRUE(ReadFile(path_, 1).ok());
  EXPECT_EQ(OpenFiles(), before);
}

TEST_F(WriteFileTest, WhatAnEarlierRunLeftBehindIsEmptied) {
  std::ofstream(path_ + ".tmp") << "a much longer text";
  ASSERT_TRUE(WriteFile(path_, "new").ok());
  EXPECT_EQ(Contents(path_), "new");
}

mode_t ModeOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mode & 07777;
}

TEST_F(WriteFileTest, TheUmaskDecidesWhoMayReadIt) {
  const std::string stream = path_ + ".stream";
  const mode_t old = umask(0);
  ASSERT_TRUE(WriteFile(path_, "x").ok());
  ASSERT_TRUE(FileStream::Open(stream, FileStream::Start::kEmpty).ok());
  umask(old);
  EXPECT_EQ(ModeOf(path_), 0666u);
  EXPECT_EQ(ModeOf(stream), 0666u);
  unlink(stream.c_str());
}

TEST_F(WriteFileTest, ASocketIsNoFile) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  // Its address is short.
  const std::string name = absl::StrCat(testing::TempDir(), "s.", getpid());
  sockaddr_un address = {.sun_family = AF_UNIX};
  ASSERT_LT(name.size(), sizeof(address.sun_path));
  name.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
            0);
  const absl::Status status = WriteFile(name, "x");
  unlink(name.c_str());
  EXPECT_EQ(status.message(),
            absl::StrCat("cannot write ", name, ": No such device or address"));
}

TEST(WriteAllTest, NothingTakenIsNoInterruption) {
  int calls = 0;
  const absl::Status status =
      WriteAll("f", "x", [&](const char*, size_t) -> ssize_t {
        errno = EINTR;  // Of an earlier call.
        return ++calls == 1 ? 0 : 1;
      });
  EXPECT_EQ(status, absl::DataLossError(
                        "cannot write f: only 0 of 1 bytes could be written"));
  EXPECT_EQ(calls, 1);
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

TEST(UniqueFdTest, ClosesItsDescriptorOnce) {
  const int number = dup(STDERR_FILENO);
  {
    const UniqueFd fd(number);
    EXPECT_EQ(fd.get(), number);
    EXPECT_TRUE(fd.valid());
    EXPECT_TRUE(IsOpen(number));
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(UniqueFdTest, HoldsNothingAtFirstAndAfterItIsMovedOrReleased) {
  EXPECT_FALSE(UniqueFd().valid());
  UniqueFd a(dup(STDERR_FILENO));
  const int number = a.get();
  UniqueFd b(std::move(a));
  EXPECT_EQ(a.get(), -1);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(b.get(), number);
  UniqueFd c;
  c = std::move(b);
  EXPECT_EQ(b.get(), -1);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(c.get(), number);
  EXPECT_EQ(c.Release(), number);
  EXPECT_EQ(c.get(), -1);
  EXPECT_TRUE(IsOpen(number));
  close(number);
}

TEST(UniqueFdTest, AssignmentClosesWhatItHeld) {
  UniqueFd fd(dup(STDERR_FILENO));
  const int old = fd.get();
  UniqueFd other(dup(STDERR_FILENO));
  const int number = other.get();
  fd = std::move(other);
  EXPECT_FALSE(IsOpen(old));
  EXPECT_TRUE(IsOpen(number));
  UniqueFd& same = fd;
  fd = std::move(same);
  EXPECT_EQ(fd.get(), number);
  EXPECT_TRUE(IsOpen(number));
}

TEST(UniqueFdTest, DescriptorZeroIsOne) {
  const int saved = dup(STDIN_FILENO);
  close(STDIN_FILENO);
  ASSERT_EQ(open("/dev/null", O_RDONLY), STDIN_FILENO);
  {
    const UniqueFd fd(STDIN_FILENO);
    EXPECT_TRUE(fd.valid());
  }
  EXPECT_FALSE(IsOpen(STDIN_FILENO));
  if (saved >= 0) {
    dup2(saved, STDIN_FILENO);
    close(saved);
  }
}

}  // namespace
}  // namespace vmm
