// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/report.h"

#include <fcntl.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "tools/guest/init/registers.h"
#include "vmm/devices/mark_abi.h"

namespace guest_init {
namespace {

constexpr uint64_t kVerdictFail = 1;

int console = STDERR_FILENO;
std::optional<Registers> mark_device;

uint64_t Encode(uint64_t code, uint64_t value) {
  return (code & MARK_CODE_MASK) | value << MARK_VALUE_SHIFT;
}

}  // namespace

void OpenConsole() {
  const int opened = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (opened >= 0) console = opened;
}

bool OpenMarkDevice(Marks marks) {
  mark_device = Registers::Map("mark", MARK_COMPATIBLE);
  if (!mark_device) {
    if (marks == Marks::kWelcome || errno == ENODEV) return false;
    FailErrno("cannot map the mark device from /dev/mem");
  }
  if (mark_device->Load32(MARK_REG_MAGIC) != MARK_MAGIC) {
    mark_device.reset();
    Fail("the mark device of the devicetree does not have the right magic");
  }
  return true;
}

void CloseMarkDevice() { mark_device.reset(); }

void Say(std::string_view line) {
  std::string text = "guest-init: ";
  text += line;
  text += '\n';
  // A console that takes nothing is no reason to do anything else.
  (void)!write(console, text.data(), text.size());
}

void DrainConsole() { tcdrain(console); }

void Mark(uint64_t code, uint64_t value) {
  if (mark_device) mark_device->Store64(MARK_REG_MARK, Encode(code, value));
}

void Fail(std::string_view what, int line) {
  Say("FAIL: " + std::string(what));
  DrainConsole();
  if (mark_device) {
    const auto number = static_cast<uint64_t>(line);
    mark_device->Store64(MARK_REG_VERDICT, Encode(kVerdictFail, number));
  }
  reboot(RB_POWER_OFF);
  for (;;) pause();  // PID 1 may not return: the kernel would panic.
}

void FailErrno(std::string_view what, int line) {
  const int error = errno;
  Fail(std::string(what) + ": " + std::strerror(error), line);
}

}  // namespace guest_init
