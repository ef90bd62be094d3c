// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/report.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "tools/guest/init/next_tree.h"
#include "tools/guest/init/system.h"
#include "vmm/base/unique_fd.h"
#include "vmm/devices/mark_abi.h"

namespace guest_init {
namespace {

constexpr char kTree[] = "/sys/firmware/devicetree/base";
constexpr uint64_t kVerdictFail = 1;

int console = STDERR_FILENO;
uint8_t* mark_registers = nullptr;

// Plain loads and stores of one register: a form with writeback would leave
// KVM without a syndrome, and the VMM without the value.
uint32_t Load32(size_t offset) {
  uint32_t value;
  asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(mark_registers + offset));
  return value;
}

void Store64(size_t offset, uint64_t value) {
  asm volatile("str %x0, [%1]" ::"r"(value), "r"(mark_registers + offset)
               : "memory");
}

uint64_t Encode(uint64_t code, uint64_t value) {
  return (code & MARK_CODE_MASK) | value << MARK_VALUE_SHIFT;
}

std::optional<Range> RegistersIn(const std::string& node) {
  const auto compatible = ReadFile(node + "/compatible");
  if (!compatible || compatible->c_str() != std::string(MARK_COMPATIBLE)) {
    return std::nullopt;
  }
  const auto reg = ReadFile(node + "/reg");
  return reg ? DecodeReg(Bytes(*reg)) : std::nullopt;
}

// Only the root's own children: below a bus, `reg` would need translating.
std::optional<Range> FindRegisters() {
  const std::unique_ptr<DIR, int (*)(DIR*)> root(opendir(kTree), closedir);
  if (!root) return std::nullopt;
  while (const dirent* entry = readdir(root.get())) {
    const std::string name = entry->d_name;
    if (!name.starts_with("mark@")) continue;
    if (const auto found = RegistersIn(std::string(kTree) + "/" + name)) {
      return found;
    }
  }
  return std::nullopt;
}

bool MapRegisters(const Range& registers, Marks marks) {
  const vmm::UniqueFd memory(open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC));
  if (!memory.valid() && marks == Marks::kWelcome) return false;
  if (!memory.valid()) FailErrno("cannot open /dev/mem for the mark device");
  void* mapped =
      mmap(nullptr, registers.size(), PROT_READ | PROT_WRITE, MAP_SHARED,
           memory.get(), static_cast<off_t>(registers.begin));
  if (mapped == MAP_FAILED) FailErrno("cannot map the mark device");
  mark_registers = static_cast<uint8_t*>(mapped);
  return true;
}

}  // namespace

void OpenConsole() {
  const int opened = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (opened >= 0) console = opened;
}

bool OpenMarkDevice(Marks marks) {
  const auto registers = FindRegisters();
  if (!registers || !MapRegisters(*registers, marks)) return false;
  if (Load32(MARK_REG_MAGIC) != MARK_MAGIC) {
    mark_registers = nullptr;
    Fail("the mark device of the devicetree does not have the right magic");
  }
  return true;
}

void CloseMarkDevice() { mark_registers = nullptr; }

void Say(std::string_view line) {
  std::string text = "guest-init: ";
  text += line;
  text += '\n';
  // A console that takes nothing is no reason to do anything else.
  (void)!write(console, text.data(), text.size());
}

void DrainConsole() { tcdrain(console); }

void Mark(uint64_t code, uint64_t value) {
  if (mark_registers) Store64(MARK_REG_MARK, Encode(code, value));
}

void Fail(std::string_view what, int line) {
  Say("FAIL: " + std::string(what));
  DrainConsole();
  if (mark_registers) {
    const auto number = static_cast<uint64_t>(line);
    Store64(MARK_REG_VERDICT, Encode(kVerdictFail, number));
  }
  reboot(RB_POWER_OFF);
  for (;;) pause();  // PID 1 may not return: the kernel would panic.
}

void FailErrno(std::string_view what, int line) {
  const int error = errno;
  Fail(std::string(what) + ": " + std::strerror(error), line);
}

}  // namespace guest_init
