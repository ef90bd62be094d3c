// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/kexec.h"

#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tools/guest/init/initrd.h"
#include "tools/guest/init/next_tree.h"
#include "tools/guest/init/report.h"
#include "tools/guest/init/segments.h"
#include "tools/guest/init/system.h"
#include "vmm/base/unique_fd.h"

namespace guest_init {
namespace {

constexpr char kTree[] = "/sys/firmware/fdt";
constexpr size_t kRngSeedBytes = 64;

bool HasKexecFile() {
  const long result = syscall(SYS_kexec_file_load, -1, -1, 0, nullptr, 0);
  return result == 0 || errno != ENOSYS;
}

bool HasKexecLoad() {
  // No segments: what this does is to drop a loaded kernel, and there is none.
  const long result =
      syscall(SYS_kexec_load, 0, 0, nullptr, KEXEC_ARCH_AARCH64);
  return result == 0 || errno != ENOSYS;
}

KexecCall Resolve(const NextKernel& next) {
  KexecCall wanted = next.call;
  // The kernel's own devicetree has the CPUs as they are.
  if (next.permute) wanted = KexecCall::kLoad;
  const bool file = wanted != KexecCall::kLoad && HasKexecFile();
  if (file) return KexecCall::kFile;
  if (wanted == KexecCall::kFile) {
    Fail("park.kexec=file, but this kernel lacks CONFIG_KEXEC_FILE");
  }
  if (!HasKexecLoad()) Fail("this kernel lacks kexec: no CONFIG_KEXEC");
  return KexecCall::kLoad;
}

vmm::UniqueFd OpenKernel(const std::string& path) {
  vmm::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    FailErrno("cannot open " + path + " (tools/guest-image puts it there)");
  }
  return file;
}

size_t SizeOf(const vmm::UniqueFd& file) {
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) FailErrno("cannot stat a file");
  return static_cast<size_t>(status.st_size);
}

// Nothing here is ever unmapped: soon the kernel goes, and we with it.
std::span<uint8_t> Map(size_t size, int flags, const vmm::UniqueFd& file) {
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | flags, file.get(), 0);
  if (mapped == MAP_FAILED) FailErrno("cannot map what is to be loaded");
  return {static_cast<uint8_t*>(mapped), size};
}

// Neither file of Linux's can be mapped: so once, into memory of large pages
// where there are any.
std::span<uint8_t> InitrdInPages(const Initrd& initrd) {
  const std::span<uint8_t> target =
      Map(initrd.size(), MAP_ANONYMOUS, vmm::UniqueFd());
  madvise(target.data(), target.size(), MADV_HUGEPAGE);
  ReadInitrd(initrd, target);
  return target;
}

// --- kexec_file_load ---------------------------------------------------------

vmm::UniqueFd InitrdInFile(const Initrd& initrd) {
  // The call wants a file it can read in one go; neither of Linux's is one.
  vmm::UniqueFd copy(memfd_create("initrd", MFD_CLOEXEC));
  const size_t size = initrd.size();
  if (!copy.valid() || ftruncate(copy.get(), static_cast<off_t>(size)) != 0) {
    FailErrno("no memory for a copy of the initrd");
  }
  void* mapped =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, copy.get(), 0);
  if (mapped == MAP_FAILED) FailErrno("cannot map the copy of the initrd");
  ReadInitrd(initrd, {static_cast<uint8_t*>(mapped), size});
  return copy;
}

void LoadByFile(const NextKernel& next) {
  const vmm::UniqueFd kernel = OpenKernel(next.path);
  const vmm::UniqueFd initrd = InitrdInFile(FindInitrd(next.old_command_line));
  if (syscall(SYS_kexec_file_load, kernel.get(), initrd.get(),
              next.command_line.size() + 1, next.command_line.c_str(),
              next.crash ? KEXEC_FILE_ON_CRASH : 0) != 0) {
    FailErrno("kexec_file_load");
  }
}

// --- kexec_load --------------------------------------------------------------

kexec_segment Segment(std::span<const uint8_t> bytes, uint64_t address,
                      uint64_t page) {
  return {.buf = bytes.data(),
          .bufsz = bytes.size(),
          .mem = reinterpret_cast<const void*>(address),
          .memsz = (bytes.size() + page - 1) / page * page};
}

template <typename T>
std::span<uint8_t> RawBytes(T& object) {
  return {reinterpret_cast<uint8_t*>(&object), sizeof(object)};
}

bool FillRandom(std::span<uint8_t> target) {
  return getrandom(target.data(), target.size(), GRND_NONBLOCK) ==
         static_cast<ssize_t>(target.size());
}

// The running kernel used up its seeds and wiped them from the tree. Without
// any, the next one's generator is never ready, and its system calls are slow.
void SetSeeds(Chosen& chosen) {
  chosen.rng_seed.resize(kRngSeedBytes);
  if (FillRandom(chosen.rng_seed) && FillRandom(RawBytes(chosen.kaslr_seed))) {
    return;
  }
  Say("no random numbers yet: the next kernel gets no seeds");
  chosen.rng_seed.clear();
  chosen.kaslr_seed = 0;
}

std::string ReadTree() {
  auto tree = ReadFile(kTree);
  if (!tree) FailErrno(std::string("cannot read ") + kTree);
  return *std::move(tree);
}

std::string ReadIomem() {
  auto iomem = ReadFile("/proc/iomem");
  if (!iomem) FailErrno("cannot read /proc/iomem");
  return *std::move(iomem);
}

std::vector<Range> FreeRam(std::span<const uint8_t> tree) {
  std::vector<Range> free = ParseSystemRam(ReadIomem());
  const auto reserved = ReservedRanges(tree);
  if (!reserved) Fail(std::string(kTree) + " is damaged");
  for (const Range& range : *reserved) free = Without(free, range);
  return free;
}

Range CrashRam() {
  const auto range = ParseCrashKernel(ReadIomem());
  if (!range) Fail("park.crash: no memory for it; boot with crashkernel=SIZE");
  return *range;
}

Layout Place(const std::vector<Range>& free, std::span<const uint8_t> kernel,
             size_t initrd_size, uint64_t page) {
  const auto header = ParseImageHeader(kernel);
  if (!header) {
    Fail("the next kernel is no uncompressed little-endian Image");
  }
  const auto layout = PlaceSegments(
      free, {.kernel = *header, .initrd = initrd_size, .page = page});
  if (!layout) Fail("no room in RAM for the next kernel and its initrd");
  return *layout;
}

std::vector<uint8_t> TreeFor(const Layout& layout, std::string_view tree,
                             size_t initrd_size, const NextKernel& kernel,
                             const Range& usable) {
  Chosen chosen = {
      .bootargs = kernel.command_line,
      .initrd = {layout.initrd, layout.initrd + initrd_size},
      .usable = usable,
  };
  SetSeeds(chosen);
  auto next =
      MakeNextTree(Bytes(tree), chosen,
                   kernel.permute ? CpuOrder::kReversed : CpuOrder::kKept);
  if (!next || next->size() > kMaxTreeBytes) {
    Fail("cannot make the next kernel's devicetree");
  }
  return *std::move(next);
}

void LoadByCall(const NextKernel& next) {
  const vmm::UniqueFd file = OpenKernel(next.path);
  const std::span<uint8_t> kernel = Map(SizeOf(file), MAP_POPULATE, file);
  const std::span<uint8_t> initrd =
      InitrdInPages(FindInitrd(next.old_command_line));
  const std::string tree = ReadTree();
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));

  const Range usable = next.crash ? CrashRam() : Range();
  const std::vector<Range> free =
      next.crash ? std::vector<Range>{usable} : FreeRam(Bytes(tree));
  const Layout layout = Place(free, kernel, initrd.size(), page);
  const auto dtb = TreeFor(layout, tree, initrd.size(), next, usable);
  auto trampoline = MakeTrampoline(layout.kernel, layout.dtb);
  const std::array<kexec_segment, 4> segments = {
      Segment(kernel, layout.kernel, page),
      Segment(RawBytes(trampoline), layout.trampoline, page),
      Segment(dtb, layout.dtb, page),
      Segment(initrd, layout.initrd, page),
  };
  if (syscall(SYS_kexec_load, layout.trampoline, segments.size(),
              segments.data(),
              KEXEC_ARCH_AARCH64 | (next.crash ? KEXEC_ON_CRASH : 0)) != 0) {
    FailErrno("kexec_load");
  }
}

}  // namespace

void RequireKexec(const NextKernel& next) {
  Resolve(next);
  OpenKernel(next.path);
  FindInitrd(next.old_command_line);
}

void LoadNextKernel(const NextKernel& next) {
  if (Resolve(next) == KexecCall::kFile) {
    LoadByFile(next);
  } else {
    LoadByCall(next);
  }
}

void EnterNextKernel() {
  syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
          LINUX_REBOOT_CMD_KEXEC, nullptr);
  FailErrno("kexec");
}

}  // namespace guest_init
