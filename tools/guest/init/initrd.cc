// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/initrd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "tools/guest/init/command_line.h"
#include "tools/guest/init/next_tree.h"
#include "tools/guest/init/report.h"
#include "tools/guest/init/system.h"
#include "vmm/base/unique_fd.h"

namespace guest_init {
namespace {

constexpr char kSysfs[] = "/sys/firmware/initrd";
constexpr char kKcore[] = "/proc/kcore";
constexpr char kTree[] = "/sys/firmware/fdt";
constexpr char kNoInitrd[] = "no initrd for the next kernel: ";
// Linux 5.10 does not schedule while it reads kcore.
constexpr size_t kBytesPerRead = size_t{1} << 20;

vmm::UniqueFd Open(const char* path) {
  return vmm::UniqueFd(open(path, O_RDONLY | O_CLOEXEC));
}

// Fills `target` from `offset` on.
void ReadAt(const vmm::UniqueFd& file, uint64_t offset,
            std::span<uint8_t> target) {
  while (!target.empty()) {
    const ssize_t got =
        pread(file.get(), target.data(), std::min(target.size(), kBytesPerRead),
              static_cast<off_t>(offset));
    if (got < 0) FailErrno("cannot read the initrd");
    if (got == 0) Fail("the initrd is shorter than it says");
    target = target.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

std::optional<Initrd> FindInSysfs() {
  struct stat status = {};
  if (stat(kSysfs, &status) != 0) return std::nullopt;
  return Initrd{kSysfs, {{0, static_cast<uint64_t>(status.st_size)}}};
}

Range PlaceInMemory() {
  const auto tree = ReadFile(kTree);
  if (!tree) FailErrno(std::string("cannot read ") + kTree);
  const auto initrd = InitrdIn(Bytes(*tree));
  if (!initrd) {
    Fail(std::string(kNoInitrd) + kTree + " does not say where it is");
  }
  return *initrd;
}

std::vector<uint8_t> ReadHeaders(const vmm::UniqueFd& kcore) {
  std::vector<uint8_t> headers(kElfHeaderBytes);
  ReadAt(kcore, 0, headers);
  const auto end = ProgramHeadersEnd(headers);
  if (!end) Fail(std::string(kNoInitrd) + kKcore + " is no ELF core file");
  headers.resize(*end);
  ReadAt(kcore, 0, headers);
  return headers;
}

// Linux gives zeros for memory that it cannot read. No archive begins so.
void RequireContent(const vmm::UniqueFd& kcore, const Piece& first) {
  std::vector<uint8_t> start(std::min<uint64_t>(first.size, kElfHeaderBytes));
  ReadAt(kcore, first.offset, start);
  if (std::all_of(start.begin(), start.end(),
                  [](uint8_t byte) { return byte == 0; })) {
    Fail(std::string(kNoInitrd) + "it reads as zeros in " + kKcore);
  }
}

Initrd FindInKcore() {
  const Range memory = PlaceInMemory();
  const vmm::UniqueFd kcore = Open(kKcore);
  if (!kcore.valid() && errno == ENOENT) {
    Fail(std::string(kNoInitrd) +
         "it takes Linux 6.8 or CONFIG_PROC_KCORE=y, this kernel has neither");
  }
  if (!kcore.valid()) FailErrno(std::string(kNoInitrd) + kKcore);
  auto pieces = FindMemory(ReadHeaders(kcore), memory);
  if (!pieces) {
    Fail(std::string(kNoInitrd) + kKcore + " does not have its memory");
  }
  RequireContent(kcore, pieces->front());
  return {kKcore, *std::move(pieces)};
}

}  // namespace

size_t Initrd::size() const {
  size_t sum = 0;
  for (const Piece& piece : pieces) sum += piece.size;
  return sum;
}

Initrd FindInitrd(std::string_view command_line) {
  if (auto initrd = FindInSysfs()) return *std::move(initrd);
  // Without it, the memory is long in use for something else.
  if (!FindKey(command_line, "retain_initrd")) {
    Fail(std::string(kNoInitrd) + "retain_initrd is not on the command line");
  }
  return FindInKcore();
}

void ReadInitrd(const Initrd& initrd, std::span<uint8_t> target) {
  const vmm::UniqueFd file = Open(initrd.path.c_str());
  if (!file.valid()) FailErrno("cannot open " + initrd.path);
  for (const Piece& piece : initrd.pieces) {
    ReadAt(file, piece.offset, target.first(piece.size));
    target = target.subspan(piece.size);
  }
}

}  // namespace guest_init
