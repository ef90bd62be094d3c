// SPDX-License-Identifier: Apache-2.0
#include "tools/host-unpack/door.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "tools/host-unpack/fail.h"
#include "vmm/base/unique_fd.h"

namespace host_unpack {
namespace {

constexpr const char* kDevices = "/sys/bus/pci/devices";
constexpr const char* kVendor = "0x1b36\n";
constexpr const char* kPvpanic = "0x0011\n";
constexpr uint32_t kPanicked = 1;  // pvpanic's event.
constexpr uint64_t kSecond = 1'000'000'000;

std::string ReadText(const std::string& path) {
  const vmm::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text;
  const ssize_t got =
      file.valid() ? read(file.get(), text.data(), text.size()) : -1;
  return got < 0 ? "" : std::string(text.data(), static_cast<size_t>(got));
}

// Returns the directory of the pvpanic device in sysfs.
std::optional<std::string> FindPvpanic() {
  const std::unique_ptr<DIR, int (*)(DIR*)> devices(opendir(kDevices),
                                                    closedir);
  if (!devices) return std::nullopt;  // No PCI, so no pvpanic.
  while (const dirent* entry = readdir(devices.get())) {
    const std::string path = std::string(kDevices) + "/" + entry->d_name;
    if (ReadText(path + "/vendor") == kVendor &&
        ReadText(path + "/device") == kPvpanic) {
      return path;
    }
  }
  return std::nullopt;
}

// Returns the device's register, mapped until the process ends.
volatile uint8_t* MapRegister(const std::string& device) {
  const vmm::UniqueFd enable(
      open((device + "/enable").c_str(), O_WRONLY | O_CLOEXEC));
  if (!enable.valid() || write(enable.get(), "1", 1) != 1) {
    FailErrno("cannot enable " + device);
  }
  uint64_t address = 0;
  if (std::sscanf(ReadText(device + "/resource").c_str(), "%" SCNx64,
                  &address) != 1 ||
      address == 0) {
    Fail(device + " has no registers");
  }
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const vmm::UniqueFd registers(
      open((device + "/resource0").c_str(), O_RDWR | O_CLOEXEC));
  void* const mapping = registers.valid()
                            ? mmap(nullptr, page, PROT_READ | PROT_WRITE,
                                   MAP_SHARED, registers.get(), 0)
                            : MAP_FAILED;
  if (mapping == MAP_FAILED) FailErrno("cannot map " + device);
  return static_cast<uint8_t*>(mapping) + address % page;
}

uint64_t Nanoseconds() {
  uint64_t count = 0;
  uint64_t frequency = 0;
  asm volatile("isb; mrs %0, cntvct_el0; mrs %1, cntfrq_el0"
               : "=r"(count), "=r"(frequency)
               :
               : "memory");
  return count / frequency * kSecond + count % frequency * kSecond / frequency;
}

// Keeps this CPU busy for some 20 ms. Its tick does not come, because nobody
// has programmed the timer yet.
void Settle() {
  uint64_t rounds = 10'000'000;
  asm volatile(
      "1: subs %0, %0, #1\n"
      "   b.ne 1b"
      : "+r"(rounds)
      :
      : "cc");
}

}  // namespace

void StopMachine() {
  const std::optional<std::string> device = FindPvpanic();
  if (!device) return;
  volatile uint8_t* const event = MapRegister(*device);
  uint64_t ready = 0;
  do {  // Somebody else may have the CPU in between, but not always.
    ready = Nanoseconds();
    std::printf("ready %" PRIu64 "\n", ready);
    std::fflush(stdout);
  } while (Nanoseconds() - ready > kReadyMargin / 2);
  *event = kPanicked;
  Settle();
}

void RearmTimers() {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof(all), &all) != 0) FailErrno("affinity");
  for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &all)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0) FailErrno("affinity");
    // Linux programs a timer that is due before all others, also before one
    // that is overdue because QEMU has lost it.
    const timespec long_ago = {.tv_sec = 0, .tv_nsec = 1};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &long_ago, nullptr);
  }
  sched_setaffinity(0, sizeof(all), &all);
}

}  // namespace host_unpack
