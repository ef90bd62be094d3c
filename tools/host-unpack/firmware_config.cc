// SPDX-License-Identifier: Apache-2.0
#include "tools/host-unpack/firmware_config.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "tools/host-unpack/fail.h"
#include "vmm/base/unique_fd.h"

namespace host_unpack {
namespace {

constexpr size_t kBufferSize = size_t{2}
                               << 20;  // A huge page, if there is one.
constexpr size_t kMaxFiles = 1024;
constexpr std::string_view kPrefix = "opt/parkvmm/";

// The device, as QEMU's docs/specs/fw_cfg has it. All is big-endian.
constexpr size_t kDmaRegister = 16;
constexpr uint32_t kDirectoryKey = 0x19;
constexpr uint32_t kDmaRead = 2;
constexpr uint32_t kDmaSelect = 8;
constexpr int kKeyShift = 16;

struct DmaAccess {
  uint32_t control;
  uint32_t length;
  uint64_t address;
};

struct DirectoryEntry {
  uint32_t size;
  uint16_t key;
  uint16_t reserved;
  char name[56];
};

// Returns the address in the name of the devicetree's node fw-cfg@ADDRESS.
uint64_t RegisterAddress() {
  constexpr std::string_view kNode = "fw-cfg@";
  const std::unique_ptr<DIR, int (*)(DIR*)> tree(opendir("/proc/device-tree"),
                                                 closedir);
  if (!tree) FailErrno("/proc/device-tree");
  while (const dirent* entry = readdir(tree.get())) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with(kNode)) continue;
    return std::strtoull(entry->d_name + kNode.size(), nullptr, 16);
  }
  Fail("QEMU offers no fw_cfg device");
}

}  // namespace

// Memory whose physical addresses are known. The last bytes hold the request.
class FirmwareConfig::Buffer {
 public:
  Buffer() {
    void* const memory = mmap(nullptr, 2 * kBufferSize, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) FailErrno("cannot have a buffer");
    data_ = reinterpret_cast<char*>(
        (reinterpret_cast<uintptr_t>(memory) + kBufferSize - 1) &
        ~(kBufferSize - 1));
    madvise(data_, kBufferSize, MADV_HUGEPAGE);  // If there are any.
    if (mlock(data_, kBufferSize) != 0) FailErrno("cannot lock a buffer");
    std::memset(data_, 0, kBufferSize);  // Each page becomes one of its own.
    pages_ = PageNumbers();
  }

  // The process ends with the mapping.
  ~Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  char* data() const { return data_; }
  static size_t request_offset() { return kBufferSize - sizeof(DmaAccess); }
  // How much can be read at once: the request's page is spared.
  size_t capacity() const { return kBufferSize - page_size_; }

  uint64_t Physical(size_t offset) const {
    return pages_[offset / page_size_] * page_size_ + offset % page_size_;
  }

  // Returns how many bytes from `offset` on lie together, `length` at most.
  size_t Together(size_t offset, size_t length) const {
    size_t end = (offset / page_size_ + 1) * page_size_;
    while (end < offset + length &&
           Physical(end) == Physical(offset) + (end - offset)) {
      end += page_size_;
    }
    return std::min(end - offset, length);
  }

  // Ends the program if the kernel has moved a page.
  void CheckUnmoved() const {
    if (PageNumbers() != pages_) Fail("the kernel moved a locked buffer");
  }

 private:
  std::vector<uint64_t> PageNumbers() const {
    constexpr uint64_t kNumber = (uint64_t{1} << 55) - 1;
    const vmm::UniqueFd map(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    std::vector<uint64_t> entries(kBufferSize / page_size_);
    const size_t bytes = entries.size() * sizeof(entries[0]);
    const auto offset = static_cast<off_t>(reinterpret_cast<uintptr_t>(data_) /
                                           page_size_ * sizeof(entries[0]));
    if (!map.valid() || pread(map.get(), entries.data(), bytes, offset) !=
                            static_cast<ssize_t>(bytes)) {
      FailErrno("/proc/self/pagemap");
    }
    for (uint64_t& entry : entries) {
      entry &= kNumber;
      if (entry == 0) Fail("/proc/self/pagemap hides where a buffer is");
    }
    return entries;
  }

  const size_t page_size_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char* data_ = nullptr;
  std::vector<uint64_t> pages_;
};

FirmwareConfig::FirmwareConfig() : buffer_(std::make_unique<Buffer>()) {
  const auto page_size = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t address = RegisterAddress();
  const vmm::UniqueFd memory(open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC));
  if (!memory.valid()) FailErrno("/dev/mem");
  page_offset_ = address % page_size;
  page_ = mmap(nullptr, page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
               memory.get(), static_cast<off_t>(address - page_offset_));
  if (page_ == MAP_FAILED) FailErrno("cannot map QEMU's fw_cfg device");
  ReadDirectory();
}

FirmwareConfig::~FirmwareConfig() {
  munmap(page_, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
}

void FirmwareConfig::Transfer(uint32_t control, size_t offset, size_t length) {
  auto* const request = reinterpret_cast<volatile DmaAccess*>(
      buffer_->data() + Buffer::request_offset());
  request->control = htobe32(control);
  request->length = htobe32(static_cast<uint32_t>(length));
  request->address = htobe64(buffer_->Physical(offset));
  auto* const dma = reinterpret_cast<volatile uint64_t*>(
      static_cast<char*>(page_) + page_offset_ + kDmaRegister);
  asm volatile("dsb sy" ::: "memory");
  *dma = htobe64(buffer_->Physical(Buffer::request_offset()));
  asm volatile("dsb sy" ::: "memory");
  if (request->control != 0) Fail("QEMU's fw_cfg device refused to read");
}

void FirmwareConfig::Select(uint32_t key) {
  Transfer(key << kKeyShift | kDmaSelect, 0, 0);
}

void FirmwareConfig::Read(size_t length) {
  for (size_t offset = 0; offset < length;) {
    const size_t together = buffer_->Together(offset, length - offset);
    Transfer(kDmaRead, offset, together);
    offset += together;
  }
  buffer_->CheckUnmoved();
}

void FirmwareConfig::ReadDirectory() {
  Select(kDirectoryKey);
  uint32_t count = 0;
  Read(sizeof(count));
  std::memcpy(&count, buffer_->data(), sizeof(count));
  count = be32toh(count);
  if (count > kMaxFiles) Fail("QEMU's fw_cfg device has too many files");
  Read(count * sizeof(DirectoryEntry));
  for (size_t index = 0; index < count; ++index) {
    DirectoryEntry entry;
    std::memcpy(&entry, buffer_->data() + index * sizeof(entry), sizeof(entry));
    const std::string name(entry.name, strnlen(entry.name, sizeof(entry.name)));
    if (!name.starts_with(kPrefix)) continue;
    files_.push_back(
        {.name = name, .key = be16toh(entry.key), .size = be32toh(entry.size)});
  }
  if (files_.empty()) Fail("QEMU has no files for this host");
  std::ranges::sort(files_, {}, &File::name);
  Select(files_.front().key);
}

std::span<const char> FirmwareConfig::Next(size_t most) {
  while (!files_.empty() && read_ == files_.front().size) {
    files_.erase(files_.begin());
    read_ = 0;
    if (!files_.empty()) Select(files_.front().key);
  }
  if (files_.empty()) return {};
  const size_t length = std::min<size_t>(
      {most, buffer_->capacity(), files_.front().size - read_});
  Read(length);
  read_ += static_cast<uint32_t>(length);
  return {buffer_->data(), length};
}

}  // namespace host_unpack
