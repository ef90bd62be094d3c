// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/registers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <memory>

#include "tools/guest/init/next_tree.h"
#include "tools/guest/init/system.h"
#include "vmm/base/unique_fd.h"

namespace guest_init {
namespace {

constexpr char kTree[] = "/sys/firmware/devicetree/base";

std::optional<Range> RangeOf(const std::string& node,
                             const std::string& wanted) {
  const auto compatible = ReadFile(node + "/compatible");
  if (!compatible || compatible->c_str() != wanted) return std::nullopt;
  const auto reg = ReadFile(node + "/reg");
  return reg ? DecodeReg(Bytes(*reg)) : std::nullopt;
}

// Only the root's own children: below a bus, `reg` would need translating.
std::optional<Range> Find(const std::string& name,
                          const std::string& compatible) {
  const std::unique_ptr<DIR, int (*)(DIR*)> root(opendir(kTree), closedir);
  if (!root) return std::nullopt;
  while (const dirent* entry = readdir(root.get())) {
    const std::string node = entry->d_name;
    if (!node.starts_with(name + "@")) continue;
    if (const auto found =
            RangeOf(std::string(kTree) + "/" + node, compatible)) {
      return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Registers> Registers::Map(const std::string& name,
                                        const std::string& compatible) {
  const auto range = Find(name, compatible);
  if (!range) {
    errno = ENODEV;
    return std::nullopt;
  }
  const vmm::UniqueFd memory(open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC));
  if (!memory.valid()) return std::nullopt;
  void* mapped =
      mmap(nullptr, range->size(), PROT_READ | PROT_WRITE, MAP_SHARED,
           memory.get(), static_cast<off_t>(range->begin));
  if (mapped == MAP_FAILED) return std::nullopt;
  return Registers(static_cast<uint8_t*>(mapped));
}

// A form with writeback would leave KVM without a syndrome, and the VMM without
// the value.
uint32_t Registers::Load32(size_t offset) const {
  uint32_t value;
  asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(mapped_ + offset));
  return value;
}

uint64_t Registers::Load64(size_t offset) const {
  uint64_t value;
  asm volatile("ldr %x0, [%1]" : "=r"(value) : "r"(mapped_ + offset));
  return value;
}

void Registers::Store64(size_t offset, uint64_t value) const {
  asm volatile("str %x0, [%1]" ::"r"(value), "r"(mapped_ + offset) : "memory");
}

void Registers::Store32(size_t offset, uint32_t value) const {
  asm volatile("str %w0, [%1]" ::"r"(value), "r"(mapped_ + offset) : "memory");
}

void Registers::Store8(size_t offset, uint8_t value) const {
  asm volatile("strb %w0, [%1]" ::"r"(value), "r"(mapped_ + offset) : "memory");
}

}  // namespace guest_init
